"""Write verbs for people, and for the tries and one-time links that sign them in."""

from engine import clock
from engine.records.db import Transaction
from engine.words import Role


def add(tx: Transaction, name: str, role: Role) -> bool:
    """Add a person without a password; return False if the name is taken."""
    return (
        tx.run(
            """insert into users (name, role, created_at_ms) values (:name, :role, :now)
           on conflict do nothing""",
            name=name,
            role=role.value,
            now=clock.now_ms(),
        )
        == 1
    )


def set_role(tx: Transaction, name: str, role: Role) -> bool:
    """Change a role; return False if there is no such person."""
    return tx.run("update users set role = :role where name = :name", name=name, role=role.value) == 1


def set_password(tx: Transaction, name: str, password_hash: str | None) -> bool:
    """Store or clear a password hash; return False if there is no such person."""
    return (
        tx.run("update users set password_hash = :hash where name = :name", name=name, hash=password_hash)
        == 1
    )


def disable(tx: Transaction, name: str) -> bool:
    """Shut a person out; return False if there is none such, or they are shut out already."""
    return (
        tx.run(
            "update users set disabled_at_ms = :now where name = :name and disabled_at_ms is null",
            name=name,
            now=clock.now_ms(),
        )
        == 1
    )


def enable(tx: Transaction, name: str) -> bool:
    """Let a person back in; return False if there is none such, or they are not shut out."""
    return (
        tx.run(
            "update users set disabled_at_ms = null where name = :name and disabled_at_ms is not null",
            name=name,
        )
        == 1
    )


def mark_signed_in(tx: Transaction, name: str) -> None:
    """Remember when the person last signed in."""
    tx.run("update users set signed_in_at_ms = :now where name = :name", name=name, now=clock.now_ms())


def add_link(tx: Transaction, secret_hash: str, name: str, expires_at_ms: int) -> None:
    """Store a one-time sign-in link."""
    tx.run(
        """insert into signin_links (secret_hash, user_name, created_at_ms, expires_at_ms)
           values (:hash, :name, :now, :expires_at_ms)""",
        hash=secret_hash,
        name=name,
        now=clock.now_ms(),
        expires_at_ms=expires_at_ms,
    )


def spend_link(tx: Transaction, secret_hash: str) -> str | None:
    """Spend a link and return whose it was; None if it is unknown, expired or spent already."""
    now = clock.now_ms()
    spent = tx.run(
        """update signin_links set spent_at_ms = :now
           where secret_hash = :hash and spent_at_ms is null and expires_at_ms > :now""",
        hash=secret_hash,
        now=now,
    )
    if not spent:
        return None
    return str(tx.value("select user_name from signin_links where secret_hash = :hash", hash=secret_hash))


def remove_links(tx: Transaction, name: str) -> int:
    """Remove all sign-in links of a person; return how many could still have been used."""
    usable = int(
        tx.value(
            """select count(*) from signin_links
               where user_name = :name and spent_at_ms is null and expires_at_ms > :now""",
            name=name,
            now=clock.now_ms(),
        )
    )
    tx.run("delete from signin_links where user_name = :name", name=name)
    return usable


def remove_expired_links(tx: Transaction, *, limit: int) -> int:
    """Delete at most `limit` links past their time, spent or not; return how many."""
    return tx.run(
        """delete from signin_links where secret_hash in
           (select secret_hash from signin_links where expires_at_ms <= :now limit :limit)""",
        now=clock.now_ms(),
        limit=limit,
    )


def add_try(tx: Transaction, name: str, address: str) -> None:
    """Note that a sign-in by password begins; it counts as failed until `forget_tries`."""
    tx.run(
        "insert into signin_tries (name, address, at_ms) values (:name, :address, :now)",
        name=name,
        address=address,
        now=clock.now_ms(),
    )


def forget_tries(tx: Transaction, name: str, address: str) -> None:
    """Forget the failed sign-ins of a name at an address, after one that succeeded."""
    tx.run("delete from signin_tries where name = :name and address = :address", name=name, address=address)


def remove_tries_before(tx: Transaction, at_ms: int) -> int:
    """Delete tries older than `at_ms`; return how many."""
    return tx.run("delete from signin_tries where at_ms < :at_ms", at_ms=at_ms)
