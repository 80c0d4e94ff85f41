"""People, their sessions, tokens and sign-in links, failed sign-ins, and the audit trail."""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("access")


@migrations()
def create_people(db: Database) -> None:
    """Secrets are stored as SHA-256 (they are 256 random bits), passwords as argon2 hashes, or not at all.

    `Anna` and `anna` are the same person, as people expect; names are ASCII, so `lower` is no question.
    """
    for sql in (
        """
        create table users (
            name text primary key,
            role text not null,
            password_hash text,
            created_at_ms integer not null,
            signed_in_at_ms integer,
            disabled_at_ms integer
        )
        """,
        "create unique index users_name on users (lower(name))",
        """
        create table sessions (
            id_hash text primary key,
            user_name text not null references users (name),
            created_at_ms integer not null,
            expires_at_ms integer not null,
            method text not null,
            address text not null,
            agent text not null
        )
        """,
        "create index sessions_user on sessions (user_name)",
        "create index sessions_expiry on sessions (expires_at_ms)",
        """
        create table tokens (
            id text primary key,
            secret_hash text not null unique,
            user_name text not null references users (name),
            label text not null,
            created_at_ms integer not null
        )
        """,
        "create index tokens_user on tokens (user_name)",
        """
        create table signin_links (
            secret_hash text primary key,
            user_name text not null references users (name),
            created_at_ms integer not null,
            expires_at_ms integer not null,
            spent_at_ms integer
        )
        """,
        "create index signin_links_expiry on signin_links (expires_at_ms)",
    ):
        db.execute(sql)


@migrations()
def create_signin_tries(db: Database) -> None:
    """One row for each sign-in begun and not yet succeeded; rows older than the window are removed."""
    db.execute(
        """
        create table signin_tries (
            id integer primary key,
            name text not null,
            address text not null,
            at_ms integer not null
        )
        """
    )
    db.execute("create index signin_tries_name on signin_tries (name, at_ms)")
    db.execute("create index signin_tries_address on signin_tries (address, at_ms)")
    db.execute("create index signin_tries_at on signin_tries (at_ms)")


@migrations()
def create_audit(db: Database) -> None:
    """Who did what to which object, through which door; `detail` is JSON and never holds a secret."""
    db.execute(
        """
        create table audit (
            id integer primary key,
            at_ms integer not null,
            actor text not null,
            via text not null,
            action text not null,
            object text not null,
            detail text not null,
            correlation_id text
        )
        """
    )
    db.execute("create index audit_at on audit (at_ms)")
    db.execute("create index audit_actor on audit (actor, at_ms)")
    db.execute("create index audit_object on audit (object, id)")
