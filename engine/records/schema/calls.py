"""Calls of other servers: one row a call, one an item of a bulk, and the counts of the rate limit."""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("calls")


@migrations()
def create_calls(db: Database) -> None:
    """`url` has the values of secret parameters masked; what is needed to send it stands in the task.

    `n_tries` and `spent_ms` live here because a call that waits long gives its worker back and goes on later.
    """
    for sql in (
        """
        create table calls (
            task_id text primary key,
            owner text not null,
            method text not null,
            url text not null,
            host text not null,
            created_at_ms integer not null,
            finished_at_ms integer,
            n_tries integer not null default 0,
            spent_ms integer not null default 0,
            status integer,
            error_code text,
            cached integer not null default 0,
            n_bytes integer,
            timing text
        )
        """,
        "create index calls_owner on calls (owner, created_at_ms)",
        """
        create table call_items (
            task_id text not null,
            position integer not null,
            method text not null,
            url text not null,
            host text not null,
            request text,
            state text not null,
            n_tries integer not null default 0,
            sent_at_ms integer,
            finished_at_ms integer,
            duration_ms integer,
            status integer,
            error_code text,
            error_message text,
            result text,
            primary key (task_id, position)
        ) without rowid
        """,
    ):
        db.execute(sql)


@migrations()
def create_call_counts(db: Database) -> None:
    """One row for each call of the last hour; counted and added in the submit's transaction."""
    db.execute("create table call_counts (owner text not null, target text not null, at_ms integer not null)")
    db.execute("create index call_counts_target on call_counts (owner, target, at_ms)")
    db.execute("create index call_counts_age on call_counts (at_ms)")
