"""Read rollups: from a coarse tier, and from finer ones where that is not rolled up yet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.lib import histograms
from engine.lib.histograms import Ints, Stack
from engine.queries.performance.selection import MINUTE_MS, TIERS, Selection, series
from engine.records import db, rollups

SUMS = (
    "n",
    "n_errors",
    "n_good",
    "n_warning",
    "sum_us",
    "n_queries",
    "query_us",
    "n_cache_hits",
    "n_cache_misses",
    "response_bytes",
)
_IDS_AT_ONCE = 500


@dataclass(frozen=True)
class Rows:
    """Rollup rows as columns."""

    bucket_at_ms: Ints
    series_id: Ints
    sums: dict[str, Ints]
    blobs: list[bytes]

    def __len__(self) -> int:
        return len(self.blobs)

    def stack(self, groups: Ints, n_groups: int) -> Stack:
        """Add up the distributions per group."""
        return histograms.stack(self.blobs, groups, n_groups)

    def add_up(self, column: str, groups: Ints, n_groups: int) -> Ints:
        """Add up a column per group."""
        out = np.zeros(n_groups, dtype=np.int64)
        np.add.at(out, groups, self.sums[column])
        return out


def read(selection: Selection, series_ids: Sequence[int], *, tier_ms: int | None = None) -> Rows:
    """Return the rollups of some series in a window, from a tier (that of its chart) and finer ones."""
    columns = f"bucket_at_ms, series_id, {', '.join(SUMS)}, histogram"
    found = _read(selection, series_ids, tier_ms or selection.tier_ms, columns)
    return Rows(
        bucket_at_ms=np.array([row["bucket_at_ms"] for row in found], dtype=np.int64),
        series_id=np.array([row["series_id"] for row in found], dtype=np.int64),
        sums={name: np.array([row[name] for row in found], dtype=np.int64) for name in SUMS},
        blobs=[row["histogram"] for row in found],
    )


def means(selection: Selection, series_ids: Sequence[int], n_points: int) -> list[db.Row]:
    """Return series_id, point (0 to n_points - 1 over the window), n, sum_us: enough for means over time."""
    length = selection.end_ms - selection.start_ms
    coarse = max(tier for tier in TIERS if tier == MINUTE_MS or tier * n_points <= length)
    point = f"(bucket_at_ms - {selection.start_ms}) * {n_points} / {length}"
    columns = f"series_id, {point} as point, sum(n) as n, sum(sum_us) as sum_us"
    return _read(selection, series_ids, coarse, columns, " group by series_id, point")


def singles(selection: Selection) -> list[db.Row]:
    """Return duration_us and keep_reason of the single events of a short window, as far as they are kept."""
    ids = [row.id for row in series(selection, each=True)]
    if not ids:
        return []
    return db.metrics().read(
        f"""select duration_us, keep_reason from events
            where series_id in ({", ".join(map(str, ids))}) and at_ms >= :start and at_ms < :end""",
        start=selection.start_ms,
        end=selection.end_ms,
    )


def _read(
    selection: Selection, series_ids: Sequence[int], tier_ms: int, columns: str, grouped: str = ""
) -> list[db.Row]:
    found: list[db.Row] = []
    with db.metrics().snapshot() as reader:
        for tier, start_ms, end_ms in segments(reader, selection.start_ms, selection.end_ms, tier_ms):
            for position in range(0, len(series_ids), _IDS_AT_ONCE):
                ids = series_ids[position : position + _IDS_AT_ONCE]
                found += reader.read(
                    f"""select {columns} from rollups
                        where tier_ms = :tier and series_id in ({", ".join(map(str, map(int, ids)))})
                        and bucket_at_ms >= :start and bucket_at_ms < :end{grouped}""",
                    tier=tier,
                    start=start_ms,
                    end=end_ms,
                )
    return found


def segments(reader: db.Reader, start_ms: int, end_ms: int, tier_ms: int) -> Iterator[tuple[int, int, int]]:
    """Yield (tier, start, end) that cover a window once: coarse where complete, finer elsewhere."""
    if end_ms <= start_ms:
        return
    if tier_ms == MINUTE_MS:
        yield tier_ms, start_ms, end_ms
        return
    finer = TIERS[TIERS.index(tier_ms) - 1]
    first = -(-start_ms // tier_ms) * tier_ms
    until = min(end_ms, rollups.watermark(reader, tier_ms) or 0)
    until = max(first, until - until % tier_ms)
    if until <= first:
        yield from segments(reader, start_ms, end_ms, finer)
        return
    yield from segments(reader, start_ms, first, finer)
    yield tier_ms, first, until
    yield from segments(reader, until, end_ms, finer)
