"""Alert rules, how they stand, and what they raised; and the counts of the moment that rules look at."""

from dataclasses import dataclass
from typing import Any

from engine import clock
from engine.records import db
from engine.records.alerts import Rule

RULE_COLUMNS = (
    """id, title, measure, threshold, service, name, window_s, to_open, to_clear, least_n, enabled"""
)


@dataclass(frozen=True)
class Standing:
    """A rule and where it stands."""

    rule: Rule
    value: float | None
    n: int
    n_bad: int
    n_good: int
    evaluated_at_ms: int | None
    muted_until_ms: int | None
    open: bool


@dataclass(frozen=True)
class Alert:
    """One alert, open or in the history."""

    id: int
    rule_id: str
    title: str
    opened_at_ms: int
    cleared_at_ms: int | None
    first_value: float
    worst_value: float
    message: str
    acknowledged_at_ms: int | None
    acknowledged_by: str | None
    note: str

    def document(self) -> dict[str, Any]:
        """Return the alert as JSON."""
        return {
            "id": self.id,
            "rule_id": self.rule_id,
            "title": self.title,
            "opened_at": clock.iso(self.opened_at_ms),
            "cleared_at": clock.iso(self.cleared_at_ms),
            "first_value": self.first_value,
            "worst_value": self.worst_value,
            "message": self.message,
            "acknowledged_at": clock.iso(self.acknowledged_at_ms),
            "acknowledged_by": self.acknowledged_by,
            "note": self.note,
        }


def standings() -> list[Standing]:
    """Return all rules with where they stand, those with an open alert first."""
    found = db.metrics().read(
        f"""select {RULE_COLUMNS}, value, n, n_bad, n_good, evaluated_at_ms, muted_until_ms,
                exists (select 1 from alerts
                    where rule_id = alert_rules.id and cleared_at_ms is null) as is_open
            from alert_rules order by is_open desc, title, id"""
    )
    return [
        Standing(
            rule=_rule(row),
            value=row["value"],
            n=row["n"],
            n_bad=row["n_bad"],
            n_good=row["n_good"],
            evaluated_at_ms=row["evaluated_at_ms"],
            muted_until_ms=row["muted_until_ms"],
            open=bool(row["is_open"]),
        )
        for row in found
    ]


def opened() -> list[Alert]:
    """Return the open alerts, newest first."""
    return [
        _alert(row) for row in db.metrics().read(f"{_ALERTS} where cleared_at_ms is null order by id desc")
    ]


def history(*, limit: int = 100) -> list[Alert]:
    """Return alerts, newest first."""
    return [_alert(row) for row in db.metrics().read(f"{_ALERTS} order by id desc limit :n", n=limit)]


def worst_value(reader: db.Reader, rule_id: str) -> float | None:
    """Return the worst value of a rule's open alert."""
    worst: float | None = reader.value(
        "select worst_value from alerts where rule_id = :id and cleared_at_ms is null", id=rule_id
    )
    return worst


def oldest_waiting_s(now_ms: int) -> tuple[float, int]:
    """Return the age of the oldest task that waits to be begun, and how many wait."""
    row = db.main().one("select min(queued_at_ms) as at, count(*) as n from tasks where state = 'queued'")
    assert row is not None
    return (max(0, now_ms - row["at"]) / 1000 if row["at"] else 0.0), row["n"]


def stalled_tasks(now_ms: int) -> int:
    """Return how many running tasks have no heartbeat any more."""
    return int(
        db.main().value(
            "select count(*) from tasks where state = 'running' and lease_until_ms < :now", now=now_ms
        )
    )


def missed_occurrences(since_ms: int) -> int:
    """Return how many due times of schedules were skipped since a moment."""
    return int(
        db.main().value(
            "select count(*) from occurrences where decision = 'skipped' and decided_at_ms >= :since",
            since=since_ms,
        )
    )


def units_not_recorded(since_ms: int) -> int:
    """Return how many units the monitor dropped or lost since a moment."""
    dropped = db.metrics().value(
        "select sum(n_dropped) from recorder_costs where bucket_at_ms >= :since", since=since_ms
    )
    lost = db.metrics().value("select sum(n_lost) from recorders where ended_at_ms >= :since", since=since_ms)
    return int(dropped or 0) + int(lost or 0)


_ALERTS = """select id, rule_id, title, opened_at_ms, cleared_at_ms, first_value, worst_value, message,
    acknowledged_at_ms, acknowledged_by, note from alerts"""


def _rule(row: db.Row) -> Rule:
    values = {name.strip(): row[name.strip()] for name in RULE_COLUMNS.split(",")}
    return Rule(**values | {"enabled": bool(values["enabled"])})


def _alert(row: db.Row) -> Alert:
    return Alert(**dict(row))
