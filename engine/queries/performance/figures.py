"""The figures of a window, each beside the one of the window before."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.queries.performance import rows
from engine.queries.performance.selection import TIER_NAMES, Selection, Source, series


@dataclass(frozen=True)
class Figures:
    """What a window adds up to. Times in milliseconds, shares 0 to 1; None where nothing was counted."""

    n: int
    n_errors: int
    apdex: float | None
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    error_rate: float | None
    queries_per_unit: float | None
    query_share: float | None
    cache_hit_rate: float | None
    total_s: float
    per_minute: float


@dataclass(frozen=True)
class Kpi:
    """One figure for the counter strip, with that of the window before."""

    key: str
    label: str
    unit: str
    value: float | None
    previous: float | None
    n: int
    n_previous: int
    higher_is_better: bool | None

    @property
    def change(self) -> float | None:
        """Return the relative change, 0.1 for +10 %."""
        if self.value is None or not self.previous:
            return None
        return self.value / self.previous - 1


@dataclass(frozen=True)
class Overview:
    """The counter strip of a window."""

    kpis: list[Kpi]
    figures: Figures
    previous: Figures
    source: Source

    def kpi(self, key: str) -> Kpi:
        """Return one counter by its key."""
        return next(kpi for kpi in self.kpis if kpi.key == key)


_KPIS: tuple[tuple[str, str, str, str, bool | None], ...] = (
    # key, label, unit, attribute of Figures, whether more is better
    ("requests", "Requests", "", "n", None),
    ("apdex", "Apdex", "", "apdex", True),
    ("p50", "Median", "ms", "p50_ms", False),
    ("p95", "p95", "ms", "p95_ms", False),
    ("p99", "p99", "ms", "p99_ms", False),
    ("error_rate", "Error rate", "%", "error_rate", False),
    ("queries", "Queries per request", "", "queries_per_unit", False),
)


def overview(selection: Selection) -> Overview:
    """Return the figures of a window and of the one before it.

    Both are widened to buckets that are still kept for the one before: beyond a week these are hours.
    """
    selection = selection.snapped()
    selection = selection.widened(selection.previous().tier_ms)
    ids = [row.id for row in series(selection)]  # the same before
    now, before = figures(selection, ids), figures(selection.previous(), ids)
    kpis = [
        Kpi(key, label, unit, getattr(now, name), getattr(before, name), now.n, before.n, better)
        for key, label, unit, name, better in _KPIS
    ]
    return Overview(kpis, now, before, source(selection, now.n))


def figures(selection: Selection, ids: Sequence[int] | None = None) -> Figures:
    """Return what a window adds up to; `ids` are those of its series, where they are known already."""
    ids = [row.id for row in series(selection)] if ids is None else ids
    read = rows.read(selection, ids, tier_ms=selection.total_tier_ms)
    one = np.zeros(len(read), dtype=np.int64)
    stack = read.stack(one, 1)
    sums = {name: int(column.sum()) for name, column in read.sums.items()}
    n = sums["n"]
    p50, p95, p99 = (float(stack.quantile(q)[0]) / 1000 if n else None for q in (0.5, 0.95, 0.99))
    lookups = sums["n_cache_hits"] + sums["n_cache_misses"]
    minutes = (selection.end_ms - selection.start_ms) / 60_000
    return Figures(
        n=n,
        n_errors=sums["n_errors"],
        apdex=(sums["n_good"] + sums["n_warning"] / 2) / n if n else None,
        mean_ms=sums["sum_us"] / n / 1000 if n else None,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=int(stack.max[0]) / 1000 if n else None,
        error_rate=sums["n_errors"] / n if n else None,
        queries_per_unit=sums["n_queries"] / n if n else None,
        query_share=sums["query_us"] / sums["sum_us"] if sums["sum_us"] else None,
        cache_hit_rate=sums["n_cache_hits"] / lookups if lookups else None,
        total_s=sums["sum_us"] / 1e6,
        per_minute=n / minutes,
    )


def source(selection: Selection, n: int, *, capped: bool = False, limit: int | None = None) -> Source:
    """Say where the numbers of a window come from."""
    name = TIER_NAMES[selection.tier_ms]
    return Source(selection.start_ms, selection.end_ms, n, name, capped, limit)
