"""Alerts: rules evaluated on the beat; so many bad results in a row open one, so many good ones clear it."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from engine import clock, lifecycle, log
from engine.errors import Forbidden, InvalidInput, NotFound
from engine.queries import alerts as reads
from engine.records import alerts, audit, db, recorders
from engine.records.alerts import Rule
from engine.services.alerts.measures import MEASURES, Measured
from engine.words import Actor, Role

__all__ = ["DEFAULTS", "MEASURES", "Happened", "acknowledge", "beat", "evaluate", "mute", "remove", "save"]

EVERY_MS = 30_000
KEEP_MS = 396 * 86_400_000
MAX_RULES = 200
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

DEFAULTS: tuple[Rule, ...] = (
    Rule("slow-requests", "Requests are slow", "p95", 2_000),
    Rule("failing-requests", "Requests fail", "error_rate", 5),
    Rule("queue-wait", "Tasks wait long", "queue_wait_p95", 30_000, window_s=900, least_n=5),
    Rule("oldest-waiting", "A task has waited for long", "oldest_waiting", 300, least_n=0),
    Rule("failing-tasks", "Tasks fail", "task_failures", 20, window_s=900, least_n=10),
    Rule("stalled", "Tasks have stalled", "stalled", 0, to_open=2, least_n=0),
    Rule("missed", "Schedules were missed", "missed_occurrences", 0, window_s=3_600, to_open=1, least_n=0),
    Rule("not-recorded", "The monitor lost units", "not_recorded", 0, window_s=3_600, to_open=1, least_n=0),
    Rule("disk", "The disk is nearly full", "disk", 90, least_n=0),
)
"""What an installation begins with; ops change them as they like."""

_log = log.get(__name__)


@dataclass(frozen=True)
class Happened:
    """An alert was opened or cleared, to be told to whoever wants to know."""

    event: Literal["alert.opened", "alert.resolved"]
    rule: Rule
    value: float | None
    message: str
    at_ms: int

    def document(self) -> dict[str, Any]:
        """Return what webhooks carry as `data`."""
        return {
            "rule_id": self.rule.id,
            "title": self.rule.title,
            "measure": self.rule.measure,
            "threshold": self.rule.threshold,
            "value": self.value,
            "message": self.message,
            "at": clock.iso(self.at_ms),
        }


def tell_endpoints(happened: Happened) -> None:
    """Tell the webhook endpoints of those who operate Offload."""
    with db.main().write() as tx:
        lifecycle.emit(tx, happened.event, happened.document(), owner=None)


def beat(now_ms: int | None = None, *, notify: Callable[[Happened], object] = tell_endpoints) -> int:
    """Evaluate all rules if it is time and this process's turn; return how many alerts opened or cleared.

    `notify` hears of each, unless its rule is muted.
    """
    now_ms = clock.now_ms() if now_ms is None else now_ms
    if not recorders.is_due(db.metrics(), now_ms, EVERY_MS, turn="alerts"):
        return 0
    with db.metrics().write() as tx:
        if not recorders.take_turn(tx, now_ms, EVERY_MS, turn="alerts"):
            return 0
        if recorders.first_time(tx, "alerts_seeded", now_ms):
            for rule in DEFAULTS:
                alerts.save(tx, rule, at_ms=now_ms, by="system")
        alerts.trim(tx, now_ms - KEEP_MS)
    happened = [found for standing in reads.standings() if (found := evaluate(standing.rule, now_ms))]
    muted = {s.rule.id for s in reads.standings() if (s.muted_until_ms or 0) > now_ms}
    for found in happened:
        _log.warning(found.event.replace(".", "_"), rule=found.rule.id, text=found.message)
        if found.rule.id not in muted:
            notify(found)
    return len(happened)


def evaluate(rule: Rule, now_ms: int) -> Happened | None:
    """Look at one rule; return what happened, if its alert was opened or cleared.

    Too few values say neither good nor bad: the rule stays as it is.
    """
    measure = MEASURES.get(rule.measure)
    if measure is None or not rule.enabled:
        return None
    found = measure.read(rule, now_ms)
    if found.value is None:
        return None
    bad = measure.bad(found.value, rule.threshold)
    message = _message(rule, found)
    with db.metrics().write() as tx:
        n_bad, n_good = alerts.note_evaluation(
            tx, rule.id, value=found.value, n=found.n, bad=bad, at_ms=now_ms
        )
        if bad and n_bad >= rule.to_open:
            if alerts.open_alert(tx, rule, value=found.value, message=message, at_ms=now_ms):
                return Happened("alert.opened", rule, found.value, message, now_ms)
            worst = reads.worst_value(tx, rule.id)
            if worst is not None and measure.bad(found.value, worst):
                alerts.worsen(tx, rule.id, found.value, message)
        elif not bad and n_good >= rule.to_clear and alerts.clear(tx, rule.id, now_ms):
            return Happened("alert.resolved", rule, found.value, message, now_ms)
    return None


def save(actor: Actor, rule: Rule) -> None:
    """Make or change a rule."""
    _operator(actor)
    wrong = {}
    if not _ID.fullmatch(rule.id):
        wrong["id"] = "small letters, digits, - and _; at most 64"
    if rule.measure not in MEASURES:
        wrong["measure"] = f"one of {', '.join(MEASURES)}"
    if not 0 < len(rule.title) <= 100:
        wrong["title"] = "1 to 100 characters"
    if not 60 <= rule.window_s <= 86_400:
        wrong["window_s"] = "60 to 86400"
    wrong |= {name: "1 to 100" for name in ("to_open", "to_clear") if not 1 <= getattr(rule, name) <= 100}
    if not math.isfinite(rule.threshold):
        wrong["threshold"] = "a number"
    if wrong:
        raise InvalidInput("The rule is not valid.", fields=wrong)
    with db.metrics().write() as tx:
        known = {standing.rule.id for standing in reads.standings()}
        if rule.id not in known and len(known) >= MAX_RULES:
            raise InvalidInput(f"There are {MAX_RULES} rules already.")
        alerts.save(tx, rule, at_ms=clock.now_ms(), by=actor.name)
        if not rule.enabled:
            alerts.clear(tx, rule.id, clock.now_ms())
    _audit(actor, "alert.rule", rule.id)


def remove(actor: Actor, rule_id: str) -> None:
    """Remove a rule and close its alert."""
    _operator(actor)
    with db.metrics().write() as tx:
        alerts.clear(tx, rule_id, clock.now_ms())
        if not alerts.remove(tx, rule_id):
            raise NotFound("There is no such rule.")
    _audit(actor, "alert.remove", rule_id)


def mute(actor: Actor, rule_id: str, until_ms: int | None) -> None:
    """Tell nobody of a rule's alerts until a moment in the future; None ends that."""
    _operator(actor)
    if until_ms is not None and until_ms <= clock.now_ms():
        raise InvalidInput("Muting needs an end in the future.", fields={"until": "must be in the future"})
    with db.metrics().write() as tx:
        if not alerts.mute(tx, rule_id, until_ms):
            raise NotFound("There is no such rule.")
    _audit(actor, "alert.mute", rule_id)


def acknowledge(actor: Actor, alert_id: int, note: str = "") -> None:
    """Say that somebody looks after an alert."""
    if not actor.role.includes(Role.STAFF):
        raise Forbidden("This needs the role staff.")
    with db.metrics().write() as tx:
        if not alerts.acknowledge(tx, alert_id, by=actor.name, at_ms=clock.now_ms(), note=note[:2_000]):
            raise NotFound("There is no such alert, or somebody looks after it.")
    _audit(actor, "alert.acknowledge", str(alert_id))


def _message(rule: Rule, found: Measured) -> str:
    measure = MEASURES[rule.measure]
    where = f" of {rule.name or rule.service}" if rule.name or rule.service else ""
    side = "below" if measure.below else "above"
    over = f" over {_span(found.window_s)}" if found.window_s else ""
    value = (
        f"{found.value:.3g}"
        if isinstance(found.value, float) and found.value < 1_000
        else f"{found.value:,.0f}"
    )
    unit = f" {measure.unit}" if measure.unit else ""
    alarm = f"alarm {side} {rule.threshold:g}{unit}"
    return f"{measure.title}{where}: {value}{unit} ({alarm}), n = {found.n:,}{over}"


def _span(seconds: int) -> str:
    for size, unit in ((3_600, "h"), (60, "min")):
        if seconds >= size and not seconds % size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _operator(actor: Actor) -> None:
    if not actor.role.includes(Role.OPS):
        raise Forbidden("This needs the role ops.")


def _audit(actor: Actor, action: str, object_: str) -> None:
    with db.main().write() as tx:
        audit.add(tx, actor, action, object_)
