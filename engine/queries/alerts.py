"""Alert rules, how they stand, and what they raised; and the counts of the moment that rules look at."""

from dataclasses import asdict, dataclass
from typing import Any

from engine import clock
from engine.errors import InvalidInput
from engine.records import db, flags
from engine.records.alerts import EVERY_MS, RULE_COLUMNS, Reason, Rule
from engine.records.schedules import MISSED

MAX_PAGE = 500


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
    due_at_ms: int

    def late_ms(self, now_ms: int) -> int:
        """Return for how long the rule's evaluation is overdue; 0 for one that is off."""
        return max(0, now_ms - self.due_at_ms) if self.rule.enabled else 0

    def document(self) -> dict[str, Any]:
        """Return the rule and where it stands as JSON."""
        fields = asdict(self.rule)
        return (
            {"rule_id": fields.pop("id")}
            | fields
            | {
                "open": self.open,
                "value": self.value,
                "n": self.n,
                "n_bad": self.n_bad,
                "n_good": self.n_good,
                "evaluated_at": clock.iso(self.evaluated_at_ms),
                "late_s": self.late_ms(clock.now_ms()) // 1000,
                "muted_until": clock.iso(self.muted_until_ms),
            }
        )


@dataclass(frozen=True)
class Alert:
    """One alert, open or in the history."""

    id: int
    rule_id: str
    title: str
    opened_at_ms: int
    cleared_at_ms: int | None
    cleared_reason: Reason | None
    first_value: float
    worst_value: float
    message: str
    acknowledged_at_ms: int | None
    acknowledged_by: str | None
    note: str

    def document(self) -> dict[str, Any]:
        """Return the alert as JSON."""
        return {
            "alert_id": self.id,
            "rule_id": self.rule_id,
            "title": self.title,
            "state": "open" if self.cleared_at_ms is None else "cleared",
            "opened_at": clock.iso(self.opened_at_ms),
            "cleared_at": clock.iso(self.cleared_at_ms),
            "cleared_reason": self.cleared_reason,
            "first_value": self.first_value,
            "worst_value": self.worst_value,
            "message": self.message,
            "acknowledged_at": clock.iso(self.acknowledged_at_ms),
            "acknowledged_by": self.acknowledged_by,
            "note": self.note,
        }


@dataclass(frozen=True)
class Page:
    """Alerts, newest first, and the cursor of the next page, if any."""

    items: list[Alert]
    next: str | None


def standings() -> list[Standing]:
    """Return all rules with where they stand, those with an open alert first."""
    return [_standing(row) for row in db.metrics().read(f"{_STANDINGS} order by is_open desc, title, id")]


def latest_ms(now_ms: int) -> int:
    """Return for how long the rule that waits longest is overdue, by what was written so far."""
    return max((standing.late_ms(now_ms) for standing in standings()), default=0)


def standing(rule_id: str) -> Standing | None:
    """Return one rule with where it stands."""
    row = db.metrics().one(f"{_STANDINGS} where id = :id", id=rule_id)
    return _standing(row) if row else None


def opened() -> list[Alert]:
    """Return the open alerts, newest first."""
    return [
        _alert(row) for row in db.metrics().read(f"{_ALERTS} where cleared_at_ms is null order by id desc")
    ]


def history(*, limit: int = 100) -> list[Alert]:
    """Return alerts, newest first."""
    return page(limit=limit).items


def page(
    *, only_open: bool = False, rule_id: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page:
    """List alerts, newest first, of one rule or of all."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidInput("The cursor is not one of ours.", fields={"cursor": "take it from `next`"})
    limit = max(1, min(limit, MAX_PAGE))
    rows = db.metrics().read(
        f"""{_ALERTS} where id < :before and rule_id = coalesce(:rule, rule_id)
                and (:any = 1 or cleared_at_ms is null)
            order by id desc limit :limit""",
        before=int(cursor) if cursor else 2**62,
        rule=rule_id,
        any=int(not only_open),
        limit=limit + 1,
    )
    items = [_alert(row) for row in rows[:limit]]
    return Page(items, str(items[-1].id) if len(rows) > limit else None)


def one(alert_id: int) -> Alert | None:
    """Return one alert."""
    row = db.metrics().one(f"{_ALERTS} where id = :id", id=alert_id)
    return _alert(row) if row else None


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
            "select count(*) from tasks where state = 'running' and lease_until_ms < :lease",
            lease=flags.stalled_below_ms(now_ms),
        )
    )


def missed_occurrences(since_ms: int) -> int:
    """Return how many due times were skipped since a moment, because no worker ran at them."""
    return int(
        db.main().value(
            """select count(*) from occurrences
               where decision = 'skipped' and decided_at_ms >= :since and reason = :missed""",
            since=since_ms,
            missed=MISSED,
        )
    )


def units_not_recorded(since_ms: int) -> int:
    """Return how many units the monitor dropped or lost since a moment."""
    dropped = db.metrics().value(
        "select sum(n_dropped) from recorder_costs where bucket_at_ms >= :since", since=since_ms
    )
    lost = db.metrics().value("select sum(n_lost) from recorders where ended_at_ms >= :since", since=since_ms)
    return int(dropped or 0) + int(lost or 0)


_STANDINGS = f"""select {", ".join(RULE_COLUMNS)}, value, n, n_bad, n_good, evaluated_at_ms, muted_until_ms,
    tried_at_ms, changed_at_ms,
    exists (select 1 from alerts where rule_id = alert_rules.id and cleared_at_ms is null) as is_open
    from alert_rules"""
_ALERTS = """select id, rule_id, title, opened_at_ms, cleared_at_ms, cleared_reason, first_value, worst_value,
    message, acknowledged_at_ms, acknowledged_by, note from alerts"""


def _standing(row: db.Row) -> Standing:
    return Standing(
        rule=Rule.from_row(row),
        value=row["value"],
        n=row["n"],
        n_bad=row["n_bad"],
        n_good=row["n_good"],
        evaluated_at_ms=row["evaluated_at_ms"],
        muted_until_ms=row["muted_until_ms"],
        open=bool(row["is_open"]),
        due_at_ms=max(row["tried_at_ms"] or 0, row["changed_at_ms"]) + EVERY_MS,
    )


def _alert(row: db.Row) -> Alert:
    return Alert(**dict(row))
