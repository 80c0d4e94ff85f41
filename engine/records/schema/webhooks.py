"""Webhooks: who is told, what, and how it went."""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("webhooks")


@migrations()
def create_webhooks(db: Database) -> None:
    """`secret` and `previous_secret` are sealed. `events` is a JSON list of patterns.

    A message is one event, its `body` the exact bytes that are signed; a delivery is one message to one
    target (an endpoint, or a task's own webhook): the unique index makes two of them impossible.
    """
    for sql in (
        """
        create table webhook_endpoints (
            id text primary key,
            owner text not null,
            url text not null,
            description text not null default '',
            events text not null,
            secret text not null,
            previous_secret text,
            previous_until_ms integer,
            active integer not null default 1,
            disabled_at_ms integer,
            disabled_reason text not null default '',
            exhausted_in_a_row integer not null default 0,
            created_at_ms integer not null,
            changed_at_ms integer not null,
            removed_at_ms integer
        )
        """,
        "create index webhook_endpoints_owner on webhook_endpoints (owner) where removed_at_ms is null",
        """
        create table task_webhooks (
            id text primary key,
            task_id text not null,
            owner text not null,
            url text not null,
            secret text not null,
            created_at_ms integer not null
        )
        """,
        "create index task_webhooks_task on task_webhooks (task_id)",
        """
        create table webhook_messages (
            id text primary key,
            event text not null,
            owner text,
            task_id text,
            body text not null,
            created_at_ms integer not null
        )
        """,
        "create index webhook_messages_age on webhook_messages (created_at_ms)",
        "create index webhook_messages_task on webhook_messages (task_id) where task_id is not null",
        """
        create table webhook_deliveries (
            seq integer primary key autoincrement,
            id text not null unique,
            message_id text not null references webhook_messages (id),
            target text not null,
            endpoint_id text,
            owner text not null,
            event text not null,
            host text not null,
            url text not null,
            state text not null,
            n_attempts integer not null default 0,
            n_failures integer not null default 0,
            busy_until_ms integer,
            last_ms integer,
            status integer,
            error_code text,
            error_message text,
            next_at_ms integer,
            created_at_ms integer not null,
            finished_at_ms integer
        )
        """,
        "create unique index webhook_deliveries_once on webhook_deliveries (message_id, target)",
        "create index webhook_deliveries_owner on webhook_deliveries (owner, seq)",
        "create index webhook_deliveries_endpoint on webhook_deliveries (endpoint_id, seq)",
        """create index webhook_deliveries_host on webhook_deliveries (host, busy_until_ms)
           where state = 'waiting'""",
        """
        create table webhook_attempts (
            delivery_id text not null,
            attempt integer not null,
            started_at_ms integer not null,
            duration_ms integer,
            status integer,
            error_code text,
            error_message text,
            answer text,
            primary key (delivery_id, attempt)
        ) without rowid
        """,
    ):
        db.execute(sql)


@migrations()
def index_tried_deliveries(db: Database) -> None:
    """Each attempt asks how fast its host was last; thousands that nobody has tried yet may be younger."""
    db.execute(
        "create index webhook_deliveries_tried on webhook_deliveries (host, seq) where last_ms is not null"
    )
