"""Turn ended units into rows: raw events, rollups by minute, statements, findings."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from engine import log
from engine.lib.sqltrace import fingerprint, fingerprint_id
from engine.lib.storable import storable
from engine.lib.trace import Trace
from engine.records.findings import Sighting
from engine.records.metrics import OTHER, TOTAL, Event, Series, SqlRun
from engine.records.rollups import HOUR_MS, MINUTE_MS, Rollup, floor
from engine.services.monitor import findings
from engine.services.monitor.unit import (
    BANDED,
    CRITICAL,
    GOOD,
    HTTP,
    QUERY,
    TASK,
    WAIT,
    WARNING,
    Heavy,
    Unit,
    classify,
)

_log = log.get(__name__)

MAX_NAME = 200
MAX_SQL = 30
QUARTER_MS = 15 * MINUTE_MS
MAX_REMEMBERED = 4_000
YIELD_EVERY = 32
"""Units folded between two offers of the interpreter lock to the threads that do the work."""
FULL, EVIDENCE_ONLY, ROLLUPS_ONLY = 2, 1, 0
"""Levels of detail: queries of each event; of the evidence only; no raw rows but the evidence."""


class Tally:
    """One series in one minute while a batch is folded: values are kept aside and counted together."""

    __slots__ = ("rollup", "values")

    def __init__(self) -> None:
        self.rollup = Rollup()
        self.values: list[int] = []


@dataclass(slots=True)
class Batch:
    """What one flush writes."""

    n_units: int = 0
    n_refused: int = 0
    """Units that could not be folded; they are counted as dropped."""
    events: list[Event] = field(default_factory=list)
    minutes: dict[tuple[int, Series], Rollup] = field(default_factory=dict)
    sql_texts: dict[str, str] = field(default_factory=dict)
    sightings: dict[str, Sighting] = field(default_factory=dict)
    slow: list[Event] = field(default_factory=list)
    n_queries: int = 0
    path_ns: int = 0
    tallies: dict[tuple[int, Series], Tally] = field(default_factory=dict)

    def tally(self, minute: int, series: Series) -> Tally:
        """Return the tally of a series in a minute."""
        key = (minute, series)
        found = self.tallies.get(key)
        if found is None:
            found = self.tallies[key] = Tally()
        return found

    def count(self) -> None:
        """Turn tallies into rollups, each series and the total of its kind."""
        for (minute, series), tally in self.tallies.items():
            tally.rollup.histogram.add_all(tally.values)
            self.minutes[minute, series] = tally.rollup
            total = self.minutes.setdefault((minute, series.total()), Rollup())
            total.merge(tally.rollup)
        self.tallies.clear()

    def see(self, sighting: Sighting) -> None:
        """Add a sighting, together with equal ones of the same batch."""
        known = self.sightings.setdefault(sighting.id, sighting)
        if known is not sighting:
            known.n += 1
            known.cost_us += sighting.cost_us
            known.at_ms = max(known.at_ms, sighting.at_ms)


class Folder:
    """Folds the units of one process; remembers the worst and the latest sample of each series."""

    def __init__(
        self, *, slow_us: int, target_ms: Callable[[str], int], user_hash: Callable[[str], str]
    ) -> None:
        self._slow_us = slow_us
        self._target_ms = target_ms
        self._user_hash = user_hash
        self._computations = findings.Computations()
        self._worst: dict[Series, tuple[int, int]] = {}
        self._sampled: dict[Series, int] = {}

    def fold(self, units: list[Unit], level: int) -> Batch:
        """Return the rows of some units; one that cannot be folded costs only itself."""
        batch = Batch()
        stampedes = self._computations.stampedes(units)
        herd = {id(unit) for stampede in stampedes for unit in stampede.units}
        for number, unit in enumerate(units, 1):
            try:
                self._add(batch, unit, level, Heavy.STAMPEDE if id(unit) in herd else 0)
                batch.n_units += 1
            except Exception as error:  # noqa: BLE001 - whatever an application put into it
                batch.n_refused += 1
                refused = repr(error)
            if not number % YIELD_EVERY:
                time.sleep(0)
        if batch.n_refused:
            _log.warning("monitor_units_refused", n=batch.n_refused, last_error=refused)
        for stampede in stampedes:
            batch.see(stampede.sighting())
        batch.count()
        return batch

    def _add(self, batch: Batch, unit: Unit, level: int, heavy: int) -> None:
        series = series_of(unit)
        unit.service, unit.name = series.service, series.name
        unit.correlation_id = storable(unit.correlation_id)
        unit.parent_id = unit.parent_id and storable(unit.parent_id)
        minute = unit.at_ms - unit.at_ms % MINUTE_MS
        facts = _roll_queries(batch, minute, unit.service, unit.trace) if unit.trace else _NOTHING
        if unit.after is not None:
            _roll_queries(batch, minute, unit.service, unit.after)
        band = self._band(unit)
        for sighting in findings.detect(unit, facts):
            heavy |= findings.TYPES[sighting.type]
            batch.see(sighting)
        batch.path_ns += unit.own_ns
        self._roll(batch.tally(minute, series), unit, facts, band)
        if unit.kind == TASK:
            waited = batch.tally(minute, Series(unit.service, WAIT, series.name, "", ""))
            waited.values.append(unit.wait_us)
            waited.rollup.n_good += 1
        reason = self._keep_reason(unit, series, heavy)
        if reason or level > ROLLUPS_ONLY:
            self._keep(batch, unit, series, facts, band, heavy, reason, level)

    def _band(self, unit: Unit) -> int:
        if unit.kind in BANDED:
            return classify(unit.duration_us, self._target_ms(unit.name), unit.failed)
        return CRITICAL if unit.failed else GOOD

    def _roll(self, tally: Tally, unit: Unit, facts: findings.Facts, band: int) -> None:
        tally.values.append(unit.duration_us)
        rollup, trace = tally.rollup, unit.trace
        rollup.response_bytes += unit.response_bytes
        if unit.failed:
            rollup.n_errors += 1
        if band == GOOD:
            rollup.n_good += 1
        elif band == WARNING:
            rollup.n_warning += 1
        if trace is not None:
            rollup.n_queries += facts.n_queries
            rollup.query_us += facts.query_us
            rollup.n_cache_hits += trace.cache_hits
            rollup.n_cache_misses += trace.cache_misses

    def _is_slow(self, unit: Unit) -> bool:
        return unit.kind in BANDED and unit.duration_us > self._slow_us

    def _keep_reason(self, unit: Unit, series: Series, heavy: int) -> str | None:
        if unit.failed:
            return "failed"
        if self._is_slow(unit):
            return "slow"
        if heavy:
            return "heavy"
        hour = floor(unit.at_ms, HOUR_MS)
        if len(self._sampled) > MAX_REMEMBERED:
            self._worst.clear()
            self._sampled.clear()
        worst = self._worst.get(series)
        if worst is None or worst[0] != hour or unit.duration_us > worst[1]:
            self._worst[series] = (hour, unit.duration_us)
            if worst is not None and worst[0] == hour:
                return "worst"
        quarter = floor(unit.at_ms, QUARTER_MS)
        if self._sampled.get(series) != quarter:
            self._sampled[series] = quarter
            return "sample"
        return None

    def _keep(
        self,
        batch: Batch,
        unit: Unit,
        series: Series,
        facts: findings.Facts,
        band: int,
        heavy: int,
        reason: str | None,
        level: int,
    ) -> None:
        trace = unit.trace
        event = Event(
            series=series,
            at_ms=unit.at_ms,
            duration_us=max(0, unit.duration_us),
            wait_us=max(0, unit.wait_us),
            status=unit.status,
            band=band,
            heavy=heavy,
            n_queries=facts.n_queries,
            query_us=facts.query_us,
            n_cache_hits=trace.cache_hits if trace else 0,
            n_cache_misses=trace.cache_misses if trace else 0,
            response_bytes=unit.response_bytes,
            correlation_id=unit.correlation_id,
            parent_id=unit.parent_id,
            user_hash=self._user_hash(unit.user) if unit.user else None,
            role=storable(unit.role) if unit.role else unit.role,
            keep_reason=reason,
            detail=_detail(unit, reason),
        )
        if trace is not None and trace.statements and (level == FULL or reason):
            event.sql = _sql_runs(trace)
        batch.events.append(event)
        if self._is_slow(unit):
            batch.slow.append(event)


@lru_cache(maxsize=4_000)
def clean_name(name: str) -> str:
    """Make a name safe to store and show: printable, at most `MAX_NAME` characters, none of our own words."""
    text = _printable(name)
    return f"_{text}" if text in ("", TOTAL, OTHER) else text


def _printable(text: str) -> str:
    text = "".join(c if c.isprintable() else "?" for c in text[: MAX_NAME + 1])
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def series_of(unit: Unit) -> Series:
    """Return the series a unit belongs to."""
    return _series(
        unit.service, unit.kind, unit.name, unit.method, unit.outcome, unit.status // 100, unit.failed
    )


@lru_cache(maxsize=4_000)
def _series(
    service: str, kind: str, name: str, method: str, outcome: str, status_class: int, failed: bool
) -> Series:
    outcome = outcome or (f"{status_class}xx" if status_class else "failed" if failed else "succeeded")
    said = map(_printable, (service, kind, method, outcome))
    service, kind, method, outcome = said
    return Series(service, kind, clean_name(name), method, outcome)


def hash_user(name: str, salt: int) -> str:
    """Return what stands for a person in the metrics: keyed, so that names cannot be guessed from it."""
    return blake2b(name.encode("utf-8", "replace"), digest_size=6, key=salt.to_bytes(8, "little")).hexdigest()


_NOTHING = findings.Facts()


def _roll_queries(batch: Batch, minute: int, service: str, trace: Trace) -> findings.Facts:
    """Count each query in the series of its statement; return what they add up to."""
    facts = findings.Facts(trace.dropped_runs, trace.dropped_us)
    for sql, statement in tuple(trace.statements.items()):
        durations_us = [duration_ns // 1000 for duration_ns in statement.durations_ns]
        series = _statement_series(service, sql)
        if series.name not in batch.sql_texts:
            batch.sql_texts[series.name] = fingerprint(sql)
        tally = batch.tally(minute, series)
        tally.values += durations_us
        tally.rollup.n_good += len(durations_us)
        facts.n_queries += len(durations_us)
        facts.query_us += sum(durations_us)
    batch.n_queries += facts.n_queries
    return facts


@lru_cache(maxsize=4_000)
def _statement_series(service: str, sql: str) -> Series:
    return Series(service, QUERY, fingerprint_id(sql), "", "")


def _sql_runs(trace: Trace) -> list[SqlRun]:
    runs: dict[str, SqlRun] = {}
    for sql, statement in tuple(trace.statements.items()):
        durations = statement.durations_ns
        if not durations:
            continue
        key = fingerprint_id(sql)
        run = runs.setdefault(key, SqlRun(key, 0, 0, 0, 0, ""))
        run.n += len(durations)
        run.total_us += sum(durations) // 1000
        run.max_us = max(run.max_us, max(durations) // 1000)
        run.n_on_loop += statement.n_on_loop
        run.caller = run.caller or statement.caller
    return sorted(runs.values(), key=lambda r: -r.total_us)[:MAX_SQL]


def _detail(unit: Unit, reason: str | None) -> str | None:
    """Return what only evidence and units with operations carry, as JSON."""
    detail: dict[str, Any] = dict(unit.detail or {})
    if reason and unit.path and unit.kind == HTTP:
        detail["path"] = unit.path[:MAX_NAME]
    if unit.error:
        detail["error"] = unit.error
    trace = unit.trace or unit.after
    operations = findings.operations_of(unit)
    if trace is not None and operations:
        detail["operations"] = [
            {
                "kind": o.kind,
                "name": o.name[:MAX_NAME],
                "offset_us": max(0, (o.started_ns - trace.started_ns) // 1000),
                "duration_us": o.duration_us,
                "failed": o.failed,
                "detail": o.detail[:MAX_NAME],
            }
            for o in operations[:50]
        ]
    if unit.trace is not None and unit.trace.dropped_runs:
        detail["queries_only_counted"] = unit.trace.dropped_runs
    text = json.dumps(detail, separators=(",", ":"), ensure_ascii=False, default=str) if detail else None
    return storable(text) if text else None
