"""Kept answers of API calls, in the cache file: it may be deleted at any time."""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("responses")


@migrations()
def create_responses(db: Database) -> None:
    """`key` is a digest over owner, method, URL, headers and body: owners share nothing."""
    for sql in (
        """
        create table responses (
            key text primary key,
            owner text not null,
            method text not null,
            url text not null,
            answer blob not null,
            n_bytes integer not null,
            created_at_ms integer not null,
            expires_at_ms integer not null,
            n_hits integer not null default 0
        )
        """,
        "create index responses_expiry on responses (expires_at_ms)",
        "create index responses_owner on responses (owner, created_at_ms)",
        """
        create table response_counts (
            owner text not null,
            day integer not null,
            n_hits integer not null default 0,
            n_misses integer not null default 0,
            n_stored integer not null default 0,
            primary key (owner, day)
        ) without rowid
        """,
    ):
        db.execute(sql)
