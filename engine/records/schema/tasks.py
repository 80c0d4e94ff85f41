"""Tasks, which are the queue, with their attempts, events, workers and pauses."""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("tasks")


@migrations()
def create_tasks(db: Database) -> None:
    """The row is both record and queue entry; `seq` is the order of arrival.

    The claim index leads with the type, so that the head of each type is one seek, however many rows wait
    and whichever types are paused or full. `due_at_ms` is 0 for work that is due at once: a clock set back
    must not delay it.
    """
    db.execute(
        """
        create table tasks (
            seq integer primary key autoincrement,
            id text not null unique,
            type text not null,
            state text not null,
            payload text not null,
            payload_hash text not null,
            owner text not null,
            priority integer not null default 0,
            correlation_id text not null,
            idempotency_key text,
            parent_id text,
            schedule_id text,
            created_at_ms integer not null,
            queued_at_ms integer,
            due_at_ms integer not null default 0,
            retry_delay_ms integer,
            expires_at_ms integer,
            started_at_ms integer,
            finished_at_ms integer,
            attempt integer not null default 0,
            failures integer not null default 0,
            deaths integer not null default 0,
            max_attempts integer not null,
            token integer not null default 0,
            worker_id text,
            lease_until_ms integer,
            cancel_requested_at_ms integer,
            cancel_requested_by text,
            sent_at_ms integer,
            progress integer not null default 0,
            progress_note text not null default '',
            error_code text,
            error_message text,
            result text
        )
        """
    )
    for sql in (
        "create index tasks_claim on tasks (type, priority desc, seq) where state = 'queued'",
        "create index tasks_due on tasks (due_at_ms) where state in ('scheduled', 'retrying')",
        "create index tasks_running on tasks (worker_id, type) where state = 'running'",
        """create index tasks_expiry on tasks (expires_at_ms)
           where state in ('scheduled', 'queued', 'retrying') and expires_at_ms is not null""",
        """create unique index tasks_idempotency on tasks (owner, type, idempotency_key)
           where idempotency_key is not null""",
        "create index tasks_owner on tasks (owner, seq)",
        "create index tasks_state on tasks (state, seq)",
        "create index tasks_type on tasks (type, seq)",
        "create index tasks_correlation on tasks (correlation_id)",
        "create index tasks_finished on tasks (finished_at_ms) where finished_at_ms is not null",
    ):
        db.execute(sql)


@migrations()
def create_attempts_and_events(db: Database) -> None:
    """What happened to a task, when, through whom and why: one row an execution, one row any other change."""
    db.execute(
        """
        create table attempts (
            task_id text not null,
            attempt integer not null,
            token integer not null,
            worker_id text not null,
            started_at_ms integer not null,
            finished_at_ms integer,
            wait_ms integer not null,
            duration_ms integer,
            cpu_ms integer,
            peak_memory_bytes integer,
            outcome text,
            error_code text,
            error_message text,
            traceback text,
            log text not null default '',
            primary key (task_id, attempt)
        ) without rowid
        """
    )
    db.execute("create index attempts_started on attempts (started_at_ms)")
    db.execute(
        """
        create table task_events (
            id integer primary key,
            task_id text not null,
            at_ms integer not null,
            from_state text,
            to_state text not null,
            actor text not null,
            reason text not null default ''
        )
        """
    )
    db.execute("create index task_events_task on task_events (task_id, id)")


@migrations()
def create_workers_and_pauses(db: Database) -> None:
    """A worker is one consumer process. `scope` of a pause is a task type, or `*` for the whole queue."""
    db.execute(
        """
        create table workers (
            id text primary key,
            host text not null,
            host_key text not null,
            pid integer not null,
            start_ticks integer not null,
            threads integer not null,
            version text not null,
            types text not null,
            started_at_ms integer not null,
            heartbeat_at_ms integer not null,
            stopped_at_ms integer,
            stop_reason text,
            memory_bytes integer,
            children_memory_bytes integer,
            cpu_percent real
        )
        """
    )
    db.execute("create index workers_live on workers (heartbeat_at_ms) where stopped_at_ms is null")
    db.execute(
        """
        create table queue_pauses (
            scope text primary key,
            paused_at_ms integer not null,
            paused_by text not null,
            note text not null default ''
        )
        """
    )
