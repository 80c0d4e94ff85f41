"""Alert rules, where each stands, and the alerts they raised."""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("alerts")


@migrations()
def create_alerts(db: Database) -> None:
    """A rule counts evaluations in a row (`n_bad`, `n_good`) and has at most one open alert."""
    for sql in (
        """
        create table alert_rules (
            id text primary key,
            title text not null,
            measure text not null,
            service text,
            name text,
            threshold real not null,
            window_s integer not null,
            to_open integer not null,
            to_clear integer not null,
            least_n integer not null,
            enabled integer not null default 1,
            muted_until_ms integer,
            n_bad integer not null default 0,
            n_good integer not null default 0,
            value real,
            n integer not null default 0,
            evaluated_at_ms integer,
            changed_at_ms integer not null,
            changed_by text not null
        )
        """,
        """
        create table alerts (
            id integer primary key,
            rule_id text not null,
            title text not null,
            opened_at_ms integer not null,
            cleared_at_ms integer,
            first_value real not null,
            worst_value real not null,
            message text not null,
            acknowledged_at_ms integer,
            acknowledged_by text,
            note text not null default ''
        )
        """,
        "create unique index alerts_open on alerts (rule_id) where cleared_at_ms is null",
        "create index alerts_opened on alerts (opened_at_ms)",
    ):
        db.execute(sql)


@migrations()
def create_alert_events(db: Database) -> None:
    """What is to be told of an alert; its `id` is the message's, so that telling it again tells nothing new.

    Alerts open now were told by the version before, but for those of a rule whose mute outlasted the opening;
    `n_quiet` counts evaluations in a row without values.
    """
    for sql in (
        """
        create table alert_events (
            seq integer primary key,
            id text not null unique,
            alert_id integer not null,
            event text not null,
            data text not null,
            told_at_ms integer
        )
        """,
        "create unique index alert_events_once on alert_events (alert_id, event)",
        "create index alert_events_untold on alert_events (seq) where told_at_ms is null",
        """insert into alert_events (id, alert_id, event, data, told_at_ms)
           select 'alert-' || id, id, 'alert.opened', '{}', opened_at_ms from alerts
           where cleared_at_ms is null and not exists (select 1 from alert_rules
               where id = rule_id and muted_until_ms > opened_at_ms)""",
        "alter table alerts add column cleared_reason text",
        "update alerts set cleared_reason = 'good' where cleared_at_ms is not null",
        "alter table alert_rules add column n_quiet integer not null default 0",
    ):
        db.execute(sql)


@migrations()
def note_tries(db: Database) -> None:
    """When a rule's turn was taken last, whatever came of it: the next one is the longest without."""
    db.execute("alter table alert_rules add column tried_at_ms integer")
