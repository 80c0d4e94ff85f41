"""Alert rules and alerts."""

from dataclasses import asdict, dataclass

from engine.records import db


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


def note_evaluation(
    tx: db.Transaction, rule_id: str, *, value: float | None, n: int, bad: bool, at_ms: int
) -> tuple[int, int]:
    """Count an evaluation; return how many in a row were bad and good now."""
    tx.run(
        """update alert_rules set value = :value, n = :n, evaluated_at_ms = :at,
               n_bad = case when :bad then n_bad + 1 else 0 end,
               n_good = case when :bad then 0 else n_good + 1 end
           where id = :id""",
        id=rule_id,
        value=value,
        n=n,
        bad=bad,
        at=at_ms,
    )
    row = tx.one("select n_bad, n_good from alert_rules where id = :id", id=rule_id)
    return (row["n_bad"], row["n_good"]) if row else (0, 0)


def open_alert(tx: db.Transaction, rule: Rule, *, value: float, message: str, at_ms: int) -> bool:
    """Open an alert unless the rule has one; return whether it was opened."""
    opened = tx.run(
        """insert into alerts (rule_id, title, opened_at_ms, first_value, worst_value, message)
           values (:rule, :title, :at, :value, :value, :message)
           on conflict do nothing""",
        rule=rule.id,
        title=rule.title,
        at=at_ms,
        value=value,
        message=message,
    )
    return opened == 1


def worsen(tx: db.Transaction, rule_id: str, value: float, message: str) -> None:
    """Keep the worst value of an open alert; the caller knows that it is worse."""
    tx.run(
        """update alerts set worst_value = :value, message = :message
           where rule_id = :id and cleared_at_ms is null""",
        id=rule_id,
        value=value,
        message=message,
    )


def clear(tx: db.Transaction, rule_id: str, at_ms: int) -> bool:
    """Close the open alert of a rule; return whether there was one."""
    return (
        tx.run(
            "update alerts set cleared_at_ms = :at where rule_id = :id and cleared_at_ms is null",
            id=rule_id,
            at=at_ms,
        )
        == 1
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
    """Forget cleared alerts older than a moment."""
    return tx.run("delete from alerts where cleared_at_ms < :before", before=before_ms)
