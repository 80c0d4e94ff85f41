"""Schedules, what was changed about them, and their occurrences."""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("schedules")


@migrations()
def create_schedules(db: Database) -> None:
    """`next_at_ms` is the next due time, so a beat reads only what is due; null when there is none.

    Removed schedules keep their row for the history of their occurrences; their name is free again.
    """
    for sql in (
        """
        create table schedules (
            id text primary key,
            name text not null,
            cron text not null,
            zone text not null,
            type text not null,
            payload text not null,
            owner text not null,
            enabled integer not null default 1,
            priority integer,
            catch_up text not null default 'last',
            catch_up_max integer not null default 10,
            overlap text not null default 'allow',
            jitter_s integer not null default 0,
            starts_at_ms integer,
            ends_at_ms integer,
            note text not null default '',
            system integer not null default 0,
            next_at_ms integer,
            created_at_ms integer not null,
            changed_at_ms integer not null,
            removed_at_ms integer
        )
        """,
        "create unique index schedules_name on schedules (owner, name) where removed_at_ms is null",
        """create index schedules_due on schedules (next_at_ms)
           where enabled = 1 and removed_at_ms is null and next_at_ms is not null""",
        """
        create table schedule_changes (
            id integer primary key,
            schedule_id text not null references schedules (id),
            at_ms integer not null,
            actor text not null,
            action text not null,
            detail text not null default '{}'
        )
        """,
        "create index schedule_changes_schedule on schedule_changes (schedule_id, id)",
    ):
        db.execute(sql)


@migrations()
def create_occurrences(db: Database) -> None:
    """One row for each due time, whatever came of it; the primary key makes twice impossible.

    `decision` is enqueued, waiting (for the one before to end), skipped, overlapped or refused.
    """
    for sql in (
        """
        create table occurrences (
            schedule_id text not null references schedules (id),
            due_at_ms integer not null,
            run_at_ms integer not null,
            decided_at_ms integer not null,
            decision text not null,
            caught_up integer not null default 0,
            task_id text,
            reason text not null default '',
            primary key (schedule_id, due_at_ms)
        ) without rowid
        """,
        "create index occurrences_due on occurrences (due_at_ms)",
        "create index occurrences_waiting on occurrences (schedule_id, due_at_ms) where decision = 'waiting'",
        "create index tasks_schedule on tasks (schedule_id, seq) where schedule_id is not null",
    ):
        db.execute(sql)


@migrations()
def index_skipped_occurrences(db: Database) -> None:
    """Alerts count them every half minute; without an index that reads all occurrences (180 ms a million)."""
    db.execute("create index occurrences_skipped on occurrences (decided_at_ms) where decision = 'skipped'")
