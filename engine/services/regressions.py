"""The watch over regressions: once an hour, routes that became slower are entered as findings."""

from engine import clock, log
from engine.queries import performance
from engine.queries.performance import Regression, wording
from engine.records import db, findings, recorders
from engine.records.findings import Sighting

EVERY_MS = 3_600_000
KINDS = ("http", "run", "task")

_log = log.get(__name__)


def beat(now_ms: int | None = None) -> int:
    """Look for regressions if an hour has passed and it is this process's turn; return how many there are."""
    now_ms = clock.now_ms() if now_ms is None else now_ms
    if not recorders.is_due(db.metrics(), now_ms, EVERY_MS, turn="regressions"):
        return 0
    with db.metrics().write() as tx:
        if not recorders.take_turn(tx, now_ms, EVERY_MS, turn="regressions"):
            return 0
    slower = [
        r for kind in KINDS for r in performance.regressions(now_ms, kind) if r.change.direction == "rose"
    ]
    for regression in slower:
        with db.metrics().write() as tx:
            findings.see(tx, _sighting(regression, now_ms))
    return len(slower)


def _sighting(regression: Regression, now_ms: int) -> Sighting:
    change = regression.change
    text = (
        f"p95 rose from {wording.duration(change.before_ms)} to {wording.duration(change.after_ms)} "
        f"({wording.percent(change.change)}, 99 % interval {wording.interval(change.low, change.high)} %), "
        f"n = {regression.n_before:,} and {regression.n_after:,}, same hours of the last 7 days"
    )
    _log.warning("regression", name=regression.name, service_recorded=regression.service, text=text)
    cost_us = int((change.after_ms - change.before_ms) * 1000 * regression.n_after * 0.05)
    return Sighting(
        type="regression",
        service=regression.service,
        kind=regression.kind,
        name=regression.name,
        subject=regression.method,
        at_ms=now_ms,
        cost_us=max(0, cost_us),
        example=text,
        correlation_id="",
    )
