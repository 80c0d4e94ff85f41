"""Alert rules, alerts, and what is to be told of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from engine.records import db

Opening = Literal["alert.opened", "alert.resolved"]
Reason = Literal["good", "no_data", "rule_off", "rule_changed", "rule_removed"]
"""Why an alert cleared: good results, no values any more, or what somebody did to its rule."""
EVERY_MS = 30_000
"""How often a rule is evaluated."""


@dataclass(frozen=True)
class Rule:
    """When to raise the alarm: so many evaluations in a row beyond a threshold, over a window."""

    id: str
    title: str
    measure: str
    threshold: float
    service: str | None = None
    name: str | None = None
    window_s: int = 300
    to_open: int = 3
    to_clear: int = 3
    least_n: int = 20
    enabled: bool = True

    @classmethod
    def from_row(cls, row: db.Row) -> "Rule":
        """Make a rule of a row that has its columns."""
        return cls(**{name: row[name] for name in RULE_COLUMNS} | {"enabled": bool(row["enabled"])})


RULE_COLUMNS = tuple(field.name for field in fields(Rule))


@dataclass(frozen=True)
class Event:
    """An opening or clearing that nobody was told of yet; `id` is the id of its message."""

    id: str
    event: Opening
    data: Mapping[str, Any]


def rule(reader: db.Reader | db.Database, rule_id: str) -> Rule | None:
    """Return a rule as it is now."""
    row = reader.one(f"select {', '.join(RULE_COLUMNS)} from alert_rules where id = :id", id=rule_id)
    return Rule.from_row(row) if row else None


def n_rules(reader: db.Reader) -> int:
    """Count the rules."""
    return int(reader.value("select count(*) from alert_rules"))


def due(reader: db.Reader | db.Database, now_ms: int) -> list[Rule]:
    """Return the rules to be evaluated now: longest without a turn first, then by window."""
    rows = reader.read(
        f"""select {", ".join(RULE_COLUMNS)} from alert_rules where {_DUE}
            order by coalesce(tried_at_ms, 0), service, name, window_s, id""",
        now=now_ms,
        every=EVERY_MS,
    )
    return [Rule.from_row(row) for row in rows]


def take(tx: db.Transaction, rule_id: str, now_ms: int) -> bool:
    """Take a rule's turn; False if it is not due any more: another process was first."""
    return (
        tx.run(
            f"update alert_rules set tried_at_ms = :now where id = :id and {_DUE}",
            id=rule_id,
            now=now_ms,
            every=EVERY_MS,
        )
        == 1
    )


def save(tx: db.Transaction, rule: Rule, *, at_ms: int, by: str) -> None:
    """Make a rule or change it; how it stands is kept."""
    values = asdict(rule)
    columns = ", ".join(values)
    tx.run(
        f"""insert into alert_rules ({columns}, changed_at_ms, changed_by)
            values ({", ".join(":" + c for c in values)}, :at, :by)
            on conflict (id) do update set {", ".join(f"{c} = :{c}" for c in values if c != "id")},
                changed_at_ms = :at, changed_by = :by""",
        at=at_ms,
        by=by,
        **values,
    )


def remove(tx: db.Transaction, rule_id: str) -> bool:
    """Remove a rule; its alerts stay in the history."""
    return tx.run("delete from alert_rules where id = :id", id=rule_id) == 1


def mute(tx: db.Transaction, rule_id: str, until_ms: int | None) -> bool:
    """Tell nobody of a rule's alerts until a moment; None ends that."""
    return (
        tx.run("update alert_rules set muted_until_ms = :until where id = :id", id=rule_id, until=until_ms)
        == 1
    )


def is_muted(reader: db.Reader, rule_id: str, at_ms: int) -> bool:
    """Tell whether nobody is to hear of a rule's alerts at a moment."""
    until_ms = reader.value("select muted_until_ms from alert_rules where id = :id", id=rule_id)
    return until_ms is not None and int(until_ms) > at_ms


def note_evaluation(
    tx: db.Transaction, rule_id: str, *, value: float, n: int, bad: bool, at_ms: int
) -> tuple[int, int]:
    """Count an evaluation; return how many in a row were bad and good now."""
    row = tx.one(
        """update alert_rules set value = :value, n = :n, evaluated_at_ms = :at, n_quiet = 0,
               n_bad = case when :bad then n_bad + 1 else 0 end,
               n_good = case when :bad then 0 else n_good + 1 end
           where id = :id returning n_bad, n_good""",
        id=rule_id,
        value=value,
        n=n,
        bad=bad,
        at=at_ms,
    )
    return (row["n_bad"], row["n_good"]) if row else (0, 0)


def note_quiet(tx: db.Transaction, rule_id: str, *, n: int, at_ms: int) -> int:
    """Count an evaluation that found too little to say anything; return how many in a row there were."""
    row = tx.one(
        """update alert_rules set value = null, n = :n, evaluated_at_ms = :at, n_quiet = n_quiet + 1
           where id = :id returning n_quiet""",
        id=rule_id,
        n=n,
        at=at_ms,
    )
    return row["n_quiet"] if row else 0


def begin_anew(tx: db.Transaction, rule_id: str) -> None:
    """Forget what the evaluations of a rule found so far."""
    tx.run(
        """update alert_rules set value = null, n = 0, n_bad = 0, n_good = 0, n_quiet = 0,
               evaluated_at_ms = null
           where id = :id""",
        id=rule_id,
    )


def open_alert(tx: db.Transaction, rule: Rule, *, value: float, message: str, at_ms: int) -> int | None:
    """Open an alert unless the rule has one; return its id if it was opened."""
    row = tx.one(
        """insert into alerts (rule_id, title, opened_at_ms, first_value, worst_value, message)
           values (:rule, :title, :at, :value, :value, :message)
           on conflict do nothing returning id""",
        rule=rule.id,
        title=rule.title,
        at=at_ms,
        value=value,
        message=message,
    )
    return row["id"] if row else None


def worsen(tx: db.Transaction, rule_id: str, value: float, message: str) -> None:
    """Keep the worst value of an open alert; the caller knows that it is worse."""
    tx.run(
        """update alerts set worst_value = :value, message = :message
           where rule_id = :id and cleared_at_ms is null""",
        id=rule_id,
        value=value,
        message=message,
    )


def clear(tx: db.Transaction, rule_id: str, at_ms: int, reason: Reason) -> int | None:
    """Close the open alert of a rule, never before it was opened; return its id if there was one."""
    row = tx.one(
        """update alerts set cleared_reason = :reason,
               cleared_at_ms = case when opened_at_ms > :at then opened_at_ms else :at end
           where rule_id = :id and cleared_at_ms is null returning id""",
        id=rule_id,
        at=at_ms,
        reason=reason,
    )
    return row["id"] if row else None


def write_event(
    tx: db.Transaction, alert_id: int, event: Opening, data: Mapping[str, Any], *, message_id: str
) -> None:
    """Write what is to be told of an alert, once; that it cleared only if its opening was for telling."""
    tx.run(
        """insert into alert_events (id, alert_id, event, data)
           select :id, :alert, :event, :data where :event = 'alert.opened' or exists
               (select 1 from alert_events where alert_id = :alert and event = 'alert.opened')
           on conflict do nothing""",
        id=message_id,
        alert=alert_id,
        event=event,
        data=json.dumps(data, ensure_ascii=False),
    )


def untold(reader: db.Reader | db.Database, *, limit: int) -> list[Event]:
    """Return what nobody was told of yet, oldest first."""
    found = reader.read(
        "select id, event, data from alert_events where told_at_ms is null order by seq limit :n", n=limit
    )
    return [Event(row["id"], row["event"], json.loads(row["data"])) for row in found]


def note_told(tx: db.Transaction, event_id: str, at_ms: int) -> None:
    """Note that an event was told."""
    tx.run(
        "update alert_events set told_at_ms = :at where id = :id and told_at_ms is null",
        id=event_id,
        at=at_ms,
    )


def acknowledge(tx: db.Transaction, alert_id: int, *, by: str, at_ms: int, note: str) -> bool:
    """Note who looks after an alert."""
    return (
        tx.run(
            """update alerts set acknowledged_at_ms = :at, acknowledged_by = :by, note = :note
               where id = :id and acknowledged_at_ms is null""",
            id=alert_id,
            by=by,
            at=at_ms,
            note=note,
        )
        == 1
    )


def trim(tx: db.Transaction, before_ms: int) -> int:
    """Forget cleared alerts older than a moment, and what was told of them."""
    tx.run(
        "delete from alert_events where alert_id in (select id from alerts where cleared_at_ms < :before)",
        before=before_ms,
    )
    return tx.run("delete from alerts where cleared_at_ms < :before", before=before_ms)


_DUE = "enabled = 1 and (tried_at_ms is null or abs(:now - tried_at_ms) >= :every)"
