"""The upkeep of the metrics, called every few seconds by each worker; one of them does it at a time."""

from collections.abc import Callable
from functools import partial

from engine import clock, log, settings
from engine.records import db, findings, metrics, recorders, rollups
from engine.services.monitor.buffer import dead_ledgers

EVERY_MS = 5_000
GRACE_MS = 10_000
"""A bucket is closed this long after its end, so that the last flushes need not touch the coarser tiers."""
TRIM_ROWS = 500
TRIM_S = 0.5
ROLL_S = 2.0

_log = log.get(__name__)


def beat(now_ms: int | None = None) -> bool:
    """Roll up, trim and close dead recorders, if it is this process's turn; return whether it was."""
    now_ms = clock.now_ms() if now_ms is None else now_ms
    if not recorders.is_due(db.metrics(), now_ms, EVERY_MS):  # most calls: no write, no lock
        return False
    with db.metrics().write() as tx:
        if not recorders.take_turn(tx, now_ms, EVERY_MS):
            return False
    roll_forward(now_ms)
    trim(now_ms)
    close_dead_recorders(now_ms)
    return True


def roll_forward(now_ms: int) -> int:
    """Roll up all closed buckets, at most for `ROLL_S` seconds at a time; return how many."""
    done = 0
    until = clock.elapsed() + ROLL_S
    for tier in rollups.TIERS[1:]:
        more = True
        while more and clock.elapsed() < until:
            with db.metrics().write() as tx:
                more = rollups.roll_forward(tx, tier, now_ms - GRACE_MS)
            done += more
    return done


def trim(now_ms: int) -> None:
    """Delete what is past its time, in small transactions, at most for `TRIM_S` seconds per kind."""
    s = settings.get()
    raw_before = now_ms - int(s.raw_keep_h * rollups.HOUR_MS)
    evidence_before = now_ms - int(s.evidence_keep_d * rollups.DAY_MS)

    def events(tx: db.Transaction) -> bool:
        n = metrics.trim_events(
            tx,
            before_ms=raw_before,
            evidence_before_ms=evidence_before,
            after_ms=now_ms + rollups.HOUR_MS,
            limit=TRIM_ROWS,
        )
        return n >= TRIM_ROWS

    _while_any(events)
    keep = zip(rollups.TIERS, (s.minute_keep_d, s.hour_keep_d, s.day_keep_d, s.day_keep_d), strict=True)
    for tier, keep_d in keep:
        before = now_ms - int(keep_d * rollups.DAY_MS)
        _while_any(partial(rollups.trim, tier_ms=tier, before_ms=before))
    with db.metrics().write() as tx:
        recorders.trim(tx, now_ms - int(s.minute_keep_d * rollups.DAY_MS))
        findings.trim(tx, now_ms - int(s.hour_keep_d * rollups.DAY_MS), TRIM_ROWS)


def close_dead_recorders(now_ms: int) -> int:
    """Count what died with processes that were killed; return how many units that was."""
    lost = 0
    for path, n_recorded in dead_ledgers(settings.get().data_dir):
        with db.metrics().write() as tx:
            n = recorders.end(tx, path.name, at_ms=now_ms, n_recorded=n_recorded)
        path.unlink(missing_ok=True)
        if n:
            _log.warning("monitor_units_lost", recorder=path.name, n=n)
        lost += n
    return lost


def _while_any(step: Callable[[db.Transaction], bool]) -> None:
    until = clock.elapsed() + TRIM_S
    more = True
    while more and clock.elapsed() < until:
        with db.metrics().write() as tx:
            more = step(tx)
