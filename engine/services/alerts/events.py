"""What is told of an alert: written with its opening or clearing, and told until that is noted."""

from dataclasses import dataclass
from typing import Any

from engine import clock, lifecycle, log
from engine.lib import signing
from engine.records import alerts, db
from engine.records.alerts import Event, Opening, Reason, Rule

WHY: dict[Reason | None, str] = {
    "good": "Good again",
    "no_data": "No values any more",
    "rule_off": "Rule switched off",
    "rule_changed": "Rule changed",
    "rule_removed": "Rule removed",
}
"""Why an alert cleared, for people."""
AT_ONCE = 500
"""Events told in one beat."""

_log = log.get(__name__)


@dataclass(frozen=True)
class Happened:
    """An alert was opened or cleared; `reason` says why it cleared, `value` is None without a measurement."""

    event: Opening
    rule: Rule
    value: float | None
    message: str
    at_ms: int
    reason: Reason | None = None

    def document(self, alert_id: int) -> dict[str, Any]:
        """Return what webhooks carry as `data`."""
        return {
            "alert_id": alert_id,
            "rule_id": self.rule.id,
            "title": self.rule.title,
            "measure": self.rule.measure,
            "threshold": self.rule.threshold,
            "value": self.value,
            "message": self.message,
            "reason": self.reason,
            "at": clock.iso(self.at_ms),
        }


def opened(tx: db.Transaction, rule: Rule, value: float, message: str, at_ms: int) -> Happened | None:
    """Open an alert and write that it is to be told, unless its rule is muted; None if one is open."""
    alert_id = alerts.open_alert(tx, rule, value=value, message=message, at_ms=at_ms)
    if alert_id is None:
        return None
    happened = Happened("alert.opened", rule, value, message, at_ms)
    if not alerts.is_muted(tx, rule.id, at_ms):
        _write(tx, alert_id, happened)
    return happened


def cleared(
    tx: db.Transaction, rule: Rule, reason: Reason, message: str, at_ms: int, value: float | None = None
) -> Happened | None:
    """Close a rule's alert; whoever is told of its opening is told of that too, muted or not."""
    alert_id = alerts.clear(tx, rule.id, at_ms, reason)
    if alert_id is None:
        return None
    happened = Happened("alert.resolved", rule, value, message, at_ms, reason)
    _write(tx, alert_id, happened)
    return happened


def tell() -> int:
    """Tell the webhook endpoints of those who operate Offload what they were not told; return how much.

    Webhooks live in another file: a process that dies between telling and noting it leaves the event to the
    next beat, and the id of its message keeps that from being told twice.
    """
    waiting = alerts.untold(db.metrics(), limit=AT_ONCE)
    return sum(_tell(event) for event in waiting)


def _tell(event: Event) -> bool:
    try:
        with db.main().write() as tx:
            lifecycle.emit(tx, event.event, event.data, owner=None, message_id=event.id)
    except db.LockedOrFull:
        raise
    except Exception as error:  # noqa: BLE001 - one that cannot be told must not hold up the others; it is logged
        _log.error("alert not told", message=event.id, error=repr(error))
        return False
    with db.metrics().write() as tx:
        alerts.note_told(tx, event.id, clock.now_ms())
    return True


def _write(tx: db.Transaction, alert_id: int, happened: Happened) -> None:
    data = happened.document(alert_id)
    alerts.write_event(tx, alert_id, happened.event, data, message_id=signing.new_message_id())
