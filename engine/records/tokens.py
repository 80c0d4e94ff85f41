"""Write verbs for API tokens."""

from engine import clock
from engine.records.db import Transaction


def add(tx: Transaction, token_id: str, secret_hash: str, name: str, label: str) -> None:
    """Store a token; `secret_hash` is the SHA-256 of what the caller shows once."""
    tx.run(
        """insert into tokens (id, secret_hash, user_name, label, created_at_ms)
           values (:id, :hash, :name, :label, :now)""",
        id=token_id,
        hash=secret_hash,
        name=name,
        label=label,
        now=clock.now_ms(),
    )


def remove(tx: Transaction, token_id: str) -> bool:
    """Revoke a token; return False if there is none such."""
    return tx.run("delete from tokens where id = :id", id=token_id) == 1


def remove_all(tx: Transaction, name: str) -> int:
    """Revoke all tokens of a person; return how many."""
    return tx.run("delete from tokens where user_name = :name", name=name)
