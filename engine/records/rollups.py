"""Rollups: sums and distributions per series and bucket, in tiers of a minute, an hour, a day and four weeks.

Writers add to the minute tier in the transaction that stores the raw events. `roll_forward` builds the next
bucket of a coarser tier from the finer one and moves that tier's watermark; an event that comes later than
the watermark is added to the coarser tier by its writer. Both happen in one write transaction each, so the
tiers agree whichever process does what.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.lib.histogram import Histogram
from engine.records import db, metrics

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
MONTH_MS = 28 * DAY_MS
"""Four weeks: the figures of a year come from 13 rows a series instead of 365."""
TIERS = (MINUTE_MS, HOUR_MS, DAY_MS, MONTH_MS)


@dataclass(slots=True)
class Rollup:
    """What happened to one series in one bucket. Times are microseconds."""

    n_errors: int = 0
    n_good: int = 0
    n_warning: int = 0
    n_queries: int = 0
    query_us: int = 0
    n_cache_hits: int = 0
    n_cache_misses: int = 0
    response_bytes: int = 0
    histogram: Histogram = field(default_factory=Histogram)

    def merge(self, other: "Rollup") -> "Rollup":
        """Add another bucket of the same series; return this one."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.histogram.merge(other.histogram)
        return self


_SUMS = (
    "n_errors",
    "n_good",
    "n_warning",
    "n_queries",
    "query_us",
    "n_cache_hits",
    "n_cache_misses",
    "response_bytes",
)
Minutes = Mapping[tuple[int, metrics.Series], Rollup]
"""Rollups by minute (its start in ms) and series."""


def floor(at_ms: int, tier_ms: int) -> int:
    """Return the start of the bucket a moment lies in."""
    return at_ms - at_ms % tier_ms


def watermark(reader: db.Reader | db.Database, tier_ms: int) -> int | None:
    """Return up to when a tier is rolled up (ms); None when it never was."""
    at: int | None = reader.value(
        "select at_ms from watermarks where name = :name", name=_watermark_name(tier_ms)
    )
    return at


def add_minutes(tx: db.Transaction, ids: metrics.SeriesIds, minutes: Minutes) -> None:
    """Add rollups to their minute, and to each coarser tier that has already passed it."""
    passed = [(tier, watermark(tx, tier) or 0) for tier in TIERS[1:]]
    for (minute, series), rollup in minutes.items():
        series_id = ids.get(tx, series, minute)
        add(tx, MINUTE_MS, minute, series_id, rollup)
        for tier, until in passed:
            if minute < until:
                add(tx, tier, floor(minute, tier), series_id, rollup)


def add(tx: db.Transaction, tier_ms: int, bucket_at_ms: int, series_id: int, rollup: Rollup) -> None:
    """Add a rollup to one bucket of a tier."""
    key = {"tier_ms": tier_ms, "bucket_at_ms": bucket_at_ms, "series_id": series_id}
    row = tx.one(
        f"""select {", ".join(_SUMS)}, histogram from rollups
            where tier_ms = :tier_ms and bucket_at_ms = :bucket_at_ms and series_id = :series_id""",
        **key,
    )
    if row is None:
        tx.run(_INSERT, **key, **_columns(rollup))
    else:
        tx.run(_UPDATE, **key, **_columns(from_row(row).merge(rollup)))


def roll_forward(tx: db.Transaction, tier_ms: int, now_ms: int) -> bool:
    """Roll up the next closed bucket of a tier; return False when there is none.

    A bucket is closed when it lies before `now_ms` and the finer tier has nothing left to bring into it.
    """
    finer = _finer(tier_ms)
    bucket = _next_bucket(tx, tier_ms)
    if bucket is None or bucket + tier_ms > min(now_ms, _complete_until(tx, finer, now_ms)):
        return False
    for series_id, rollup in _sums(tx, finer, bucket, bucket + tier_ms).items():
        add(tx, tier_ms, bucket, series_id, rollup)
    metrics.set_watermark(tx, _watermark_name(tier_ms), bucket + tier_ms)
    return True


def trim(tx: db.Transaction, tier_ms: int, before_ms: int) -> bool:
    """Delete the oldest bucket of a tier if it ends before `before_ms` and the next tier has it."""
    oldest = tx.value("select min(bucket_at_ms) from rollups where tier_ms = :tier", tier=tier_ms)
    if oldest is None or oldest + tier_ms > before_ms:
        return False
    if tier_ms != TIERS[-1]:
        coarser = TIERS[TIERS.index(tier_ms) + 1]
        if oldest >= (watermark(tx, coarser) or 0):
            return False
    tx.run("delete from rollups where tier_ms = :tier and bucket_at_ms = :at", tier=tier_ms, at=oldest)
    return True


def from_row(row: db.Row) -> Rollup:
    """Make a rollup from a row with the columns of the table."""
    sums = {name: row[name] for name in _SUMS}
    return Rollup(**sums, histogram=Histogram.from_bytes(row["histogram"]))


_INSERT = f"""
    insert into rollups (tier_ms, bucket_at_ms, series_id, n, sum_us, {", ".join(_SUMS)}, histogram)
    values (:tier_ms, :bucket_at_ms, :series_id, :n, :sum_us, {", ".join(":" + s for s in _SUMS)}, :histogram)
"""
_UPDATE = f"""
    update rollups set n = :n, sum_us = :sum_us, {", ".join(f"{s} = :{s}" for s in _SUMS)},
        histogram = :histogram
    where tier_ms = :tier_ms and bucket_at_ms = :bucket_at_ms and series_id = :series_id
"""


def _columns(rollup: Rollup) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(rollup, name) for name in _SUMS}
    histogram = rollup.histogram
    return values | {"n": histogram.count, "sum_us": histogram.sum, "histogram": histogram.to_bytes()}


def _watermark_name(tier_ms: int) -> str:
    return f"tier {tier_ms}"


def _finer(tier_ms: int) -> int:
    return TIERS[TIERS.index(tier_ms) - 1]


def _complete_until(tx: db.Transaction, tier_ms: int, now_ms: int) -> int:
    outstanding = _next_bucket(tx, tier_ms) if tier_ms != MINUTE_MS else None
    return now_ms if outstanding is None else outstanding


def _next_bucket(tx: db.Transaction, tier_ms: int) -> int | None:
    """Return the first bucket not rolled up that has anything in it."""
    first = tx.value(
        "select min(bucket_at_ms) from rollups where tier_ms = :finer and bucket_at_ms >= :since",
        finer=_finer(tier_ms),
        since=watermark(tx, tier_ms) or 0,
    )
    return None if first is None else floor(first, tier_ms)


def _sums(tx: db.Transaction, tier_ms: int, start_ms: int, end_ms: int) -> dict[int, Rollup]:
    sums: dict[int, Rollup] = {}
    for row in tx.read(
        f"""select series_id, {", ".join(_SUMS)}, histogram from rollups
            where tier_ms = :tier and bucket_at_ms >= :start and bucket_at_ms < :end""",
        tier=tier_ms,
        start=start_ms,
        end=end_ms,
    ):
        sums.setdefault(row["series_id"], Rollup()).merge(from_row(row))
    return sums
