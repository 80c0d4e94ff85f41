"""Write verbs for sessions: a row for each sign-in, so that any of them can be ended at once."""

from engine import clock
from engine.records.db import Transaction


def add(
    tx: Transaction, id_hash: str, name: str, *, expires_at_ms: int, method: str, address: str, agent: str
) -> None:
    """Store a session; `id_hash` is the SHA-256 of the id in the cookie, `method` is `password` or `link`."""
    tx.run(
        """insert into sessions (id_hash, user_name, created_at_ms, expires_at_ms, method, address, agent)
           values (:id_hash, :name, :now, :expires_at_ms, :method, :address, :agent)""",
        id_hash=id_hash,
        name=name,
        now=clock.now_ms(),
        expires_at_ms=expires_at_ms,
        method=method,
        address=address,
        agent=agent[:200],
    )


def remove(tx: Transaction, id_hash: str) -> bool:
    """End a session; return False if it had ended already."""
    return tx.run("delete from sessions where id_hash = :id_hash", id_hash=id_hash) == 1


def remove_all(tx: Transaction, name: str, *, but: str | None = None) -> int:
    """End the sessions of a person, except the one whose hash is `but`; return how many."""
    return tx.run(
        "delete from sessions where user_name = :name and id_hash <> :but", name=name, but=but or ""
    )


def remove_expired(tx: Transaction, *, limit: int) -> int:
    """Delete at most `limit` sessions past their time; return how many."""
    return tx.run(
        """delete from sessions where id_hash in
           (select id_hash from sessions where expires_at_ms <= :now limit :limit)""",
        now=clock.now_ms(),
        limit=limit,
    )
