"""The beat: rules are evaluated; so many bad results in a row open an alert, so many good ones clear it."""

from engine import clock, log
from engine.queries import alerts as reads
from engine.records import alerts, db, recorders
from engine.records.alerts import EVERY_MS, Rule
from engine.services.alerts import events
from engine.services.alerts.events import Happened
from engine.services.alerts.measures import (
    MEASURES,
    Look,
    Measured,
    alarm_of,
    figure,
    in_unit,
    measure,
    title_of,
)

BUDGET_S = 0.25
"""What one beat of a second gives to the rules; the last one begun is finished (some 35 ms for a day)."""
LATE_MS = EVERY_MS
"""Rules that are overdue by more are spoken of as late."""
KEEP_MS = 396 * 86_400_000
QUIET_MS = 3_600_000
"""An open alert clears after evaluations without values for so long."""

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


def beat(now_ms: int | None = None) -> int:
    """Evaluate the rules that are due, for at most `BUDGET_S`, and tell what came of it.

    The beat also fires schedules and rescues tasks: rules that are left have their turn at its next one, or
    in another process. Returns how many alerts opened or cleared. What an earlier beat could not tell is told
    as well.
    """
    now_ms = clock.now_ms() if now_ms is None else now_ms
    begun = _begin(now_ms)
    n_happened = _evaluate_due(now_ms)
    if begun or n_happened:
        events.tell()
    return n_happened


def _begin(now_ms: int) -> bool:
    """Do what one process does every half minute; tell whether it is this one's turn."""
    if not recorders.is_due(db.metrics(), now_ms, EVERY_MS, turn="alerts"):
        return False
    with db.metrics().write() as tx:
        if not recorders.take_turn(tx, now_ms, EVERY_MS, turn="alerts"):
            return False
        if recorders.first_time(tx, "alerts_seeded", now_ms):
            for rule in DEFAULTS:
                alerts.save(tx, rule, at_ms=now_ms, by="system")
        alerts.trim(tx, now_ms - KEEP_MS)
    late_ms = reads.latest_ms(now_ms)
    if late_ms > LATE_MS:
        _log.warning("alert rules evaluated late", seconds=late_ms // 1000)
    return True


def _evaluate_due(now_ms: int) -> int:
    look, until, n_happened = Look(now_ms), clock.elapsed() + BUDGET_S, 0
    for rule in alerts.due(db.metrics(), now_ms):
        with db.metrics().write() as tx:
            taken = alerts.take(tx, rule.id, now_ms)
        if taken and _evaluate_alone(rule, look):
            n_happened += 1
        if clock.elapsed() >= until:
            break
    return n_happened


def _evaluate_alone(rule: Rule, look: Look) -> Happened | None:
    try:
        happened = _evaluate(rule, look)
    except db.LockedOrFull:
        raise
    except Exception as error:  # noqa: BLE001 - one rule that fails must not hold up the others; it is logged
        _log.error("rule not evaluated", rule=rule.id, error=repr(error))
        return None
    if happened:
        _log.warning(happened.event.replace(".", "_"), rule=rule.id, text=happened.message)
    return happened


def _evaluate(rule: Rule, look: Look) -> Happened | None:
    """Look at one rule; return what happened, if its alert was opened or cleared.

    A rule that was changed while it was measured is left to its next turn.
    """
    found = measure(rule.measure).read(rule, look)
    with db.metrics().write() as tx:
        if alerts.rule(tx, rule.id) != rule:
            return None
        if found.value is None:
            return _quiet(tx, rule, found, look.now_ms)
        return _judge(tx, rule, found, found.value, look.now_ms)


def _judge(tx: db.Transaction, rule: Rule, found: Measured, value: float, now_ms: int) -> Happened | None:
    looked_at, message = MEASURES[rule.measure], _message(rule, found, value)
    bad = looked_at.bad(value, rule.threshold)
    n_bad, n_good = alerts.note_evaluation(tx, rule.id, value=value, n=found.n, bad=bad, at_ms=now_ms)
    if bad and n_bad >= rule.to_open:
        if happened := events.opened(tx, rule, value, message, now_ms):
            return happened
        worst = reads.worst_value(tx, rule.id)
        if worst is not None and looked_at.bad(value, worst):
            alerts.worsen(tx, rule.id, value, message)
    elif not bad and n_good >= rule.to_clear:
        return events.cleared(tx, rule, "good", message, now_ms, value)
    return None


def _quiet(tx: db.Transaction, rule: Rule, found: Measured, now_ms: int) -> Happened | None:
    """Say neither good nor bad, until it has been quiet for so long that an open alert means nothing."""
    n_quiet = alerts.note_quiet(tx, rule.id, n=found.n, at_ms=now_ms)
    if n_quiet * EVERY_MS < QUIET_MS:
        return None
    message = f"{title_of(rule)}: too little to measure for {_span(QUIET_MS // 1000)}, n = {found.n:,}"
    happened = events.cleared(tx, rule, "no_data", message, now_ms)
    if happened:
        alerts.begin_anew(tx, rule.id)
    return happened


def _message(rule: Rule, found: Measured, value: float) -> str:
    over = f" over {_span(found.window_s)}" if found.window_s else ""
    return f"{title_of(rule)}: {in_unit(rule, figure(value))} (alarm {alarm_of(rule)}), n = {found.n:,}{over}"


def _span(seconds: int) -> str:
    for size, unit in ((3_600, "h"), (60, "min")):
        if seconds >= size and not seconds % size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
