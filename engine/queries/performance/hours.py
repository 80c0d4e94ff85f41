"""Statistics per bucket and series: for export, and for everything that counts by itself."""

import numpy as np
import pyarrow as pa

from engine.lib.histograms import Ints
from engine.queries.performance import rows
from engine.queries.performance.charts import AT, Chart
from engine.queries.performance.figures import source
from engine.queries.performance.selection import DAY_MS, HOUR_MS, Selection, SeriesRow, series
from engine.records import db, rollups

MAX_ROWS = 50_000


def statistics(selection: Selection, *, tier_ms: int = HOUR_MS, limit: int = MAX_ROWS) -> Chart:
    """Return one row per whole hour (or day) and series, newest first: the window is widened to hours.

    Columns: at, service, kind, name, method, outcome, n, n_errors, n_good, n_warning, apdex, sum_s, mean,
    p50, p95, p99, max (ms), n_queries, query_s, cache_hits, cache_misses, response_bytes.
    """
    selection = selection.snapped().widened(tier_ms)
    known = {s.id: s for s in series(selection, each=True)}
    read = rows.read(selection, list(known), tier_ms=tier_ms)
    bucket = read.bucket_at_ms - read.bucket_at_ms % tier_ms
    keys = np.stack([bucket, read.series_id], axis=1) if len(read) else np.zeros((0, 2), dtype=np.int64)
    cells, group = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(-cells[:, 0], kind="stable")[:limit]
    table = _table(read, np.ravel(group), cells, known).take(pa.array(order))
    origin = source(selection, int(read.sums["n"].sum()), capped=len(cells) > limit, limit=limit)
    return Chart(table, origin, tier_ms)


def _table(read: rows.Rows, group: Ints, cells: Ints, known: dict[int, SeriesRow]) -> pa.Table:
    n_cells = len(cells)
    stack = read.stack(group, n_cells)
    sums = {c: read.add_up(c, group, n_cells) for c in rows.SUMS}
    named = [known[i] for i in cells[:, 1].tolist()]
    texts = {c: [getattr(s, c) for s in named] for c in ("service", "kind", "name", "method", "outcome")}
    n = np.maximum(stack.count, 1)
    return pa.table(
        {"at": pa.array(cells[:, 0], AT)}
        | {name: pa.array(values, pa.string()) for name, values in texts.items()}
        | {name: pa.array(sums[name]) for name in ("n", "n_errors", "n_good", "n_warning")}
        | {
            "apdex": pa.array((sums["n_good"] + sums["n_warning"] / 2) / n),
            "sum_s": pa.array(stack.sum / 1e6),
            "mean": pa.array(stack.mean() / 1000, from_pandas=True),
            "p50": pa.array(stack.quantile(0.5) / 1000, from_pandas=True),
            "p95": pa.array(stack.quantile(0.95) / 1000, from_pandas=True),
            "p99": pa.array(stack.quantile(0.99) / 1000, from_pandas=True),
            "max": pa.array(stack.max / 1000),
            "n_queries": pa.array(sums["n_queries"]),
            "query_s": pa.array(sums["query_us"] / 1e6),
            "cache_hits": pa.array(sums["n_cache_hits"]),
            "cache_misses": pa.array(sums["n_cache_misses"]),
            "response_bytes": pa.array(sums["response_bytes"]),
        }
    )


_base: dict[tuple[str, int], dict[int, rollups.Rollup]] = {}
"""What the closed days add up to, by database and day watermark: read once a day. What comes too late for a
closed day is seen when the next one closes."""


def since_ever(kinds: tuple[str, ...]) -> list[tuple[SeriesRow, rollups.Rollup]]:
    """Return what each series of some kinds adds up to over all that is kept: counters that only grow."""
    database = db.metrics()
    until = rollups.watermark(database, DAY_MS) or 0
    key = (str(database.path), until)
    found = [
        SeriesRow(**dict(row))
        for row in database.read(
            "select id, service, kind, name, method, outcome from series where name <> '*'"
        )
    ]
    days = _base.get(key)
    if days is None:
        days = _sums(Selection(0, max(until, 1)), [s.id for s in found], DAY_MS) if until else {}
        _base.clear()  # another thread may be reading the same day; each keeps its own
        _base[key] = days
    # The id of a series that was removed may come back as that of a younger one.
    old = {r["id"] for r in database.read("select id from series where first_at_ms < :until", until=until)}
    young = _sums(Selection(until, 2**53), [s.id for s in found], HOUR_MS)
    total = []
    for one in found:
        if one.kind in kinds:
            grown = rollups.Rollup()
            for part in (days.get(one.id) if one.id in old else None, young.get(one.id)):
                if part is not None:
                    grown.merge(part)
            if grown.histogram.count:
                total.append((one, grown))
    return total


def _sums(selection: Selection, ids: list[int], tier_ms: int) -> dict[int, rollups.Rollup]:
    read = rows.read(selection, ids, tier_ms=tier_ms)
    present, group = np.unique(read.series_id, return_inverse=True)
    stack = read.stack(group, len(present))
    sums = {c: read.add_up(c, group, len(present)) for c in rows.SUMS}
    return {
        int(series_id): rollups.Rollup(
            **{name: int(sums[name][i]) for name in rows.SUMS if name not in ("n", "sum_us")},
            histogram=stack.histogram(i),
        )
        for i, series_id in enumerate(present)
    }
