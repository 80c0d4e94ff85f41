"""Before and after: two distributions, what changed, and whether that is more than noise."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from engine.errors import InvalidInput
from engine.lib.histogram import RELATIVE_ERROR, Histogram
from engine.lib.histograms import Floats, Ints, Stack, single
from engine.queries.performance import rows
from engine.queries.performance.charts import Chart, spread
from engine.queries.performance.figures import source
from engine.queries.performance.selection import MINUTE_MS, Selection, Source, series
from engine.queries.performance.wording import duration, interval, percent

REPLICATES = 1_000
LEAST_N = 30
LEAST_BEYOND = 5
"""A percentile is compared from so many values beyond it: p95 from n = 100, p99 from n = 500."""
RESOLUTION = 2 * RELATIVE_ERROR / (1 - RELATIVE_ERROR)
"""Two estimates, each within the bound of the histogram, may differ by this much for equal values: 2.2 %."""
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_NAMES = {"mean": "The mean", "p50": "The median", "p95": "p95", "p99": "p99"}

Direction = Literal["fell", "rose", "same", "unknown"]


@dataclass(frozen=True)
class Change:
    """One statistic of both sides, in ms; `low` and `high` bound the relative change (95 % unless said)."""

    statistic: str
    before_ms: float
    after_ms: float
    change: float
    low: float
    high: float
    enough: bool
    """Whether both sides have enough values for this statistic."""

    @property
    def direction(self) -> Direction:
        """Tell whether it changed beyond noise and beyond the resolution of the histogram."""
        if not self.enough:
            return "unknown"
        if self.high < -RESOLUTION:
            return "fell"
        return "rose" if self.low > RESOLUTION else "same"


@dataclass(frozen=True)
class Comparison:
    """Two sides and what changed from one to the other; the charts are of exactly what was compared."""

    label_before: str
    label_after: str
    n_before: int
    n_after: int
    errors_before: float | None
    errors_after: float | None
    changes: tuple[Change, ...]
    verdict: str
    direction: Direction
    before: Chart
    after: Chart
    sources: tuple[Source, Source]

    def change(self, statistic: str) -> Change | None:
        """Return one statistic, None when a side is empty."""
        return next((c for c in self.changes if c.statistic == statistic), None)


def around(selection: Selection, at_ms: int) -> Comparison:
    """Compare what a selection saw before a moment within its window with what it saw after."""
    if not selection.start_ms < at_ms < selection.end_ms:
        raise InvalidInput("The moment lies outside the period.", fields={"at": "must lie within the period"})
    return compare(replace(selection, end_ms=at_ms), replace(selection, start_ms=at_ms), "before", "after")


def two_routes(selection: Selection, before: tuple[str, str], after: tuple[str, str]) -> Comparison:
    """Compare two routes (name, method) in one window: the blocking one and its replacement."""
    first, second = (selection.only(name, method or None) for name, method in (before, after))
    return compare(first, second, " ".join(reversed(before)).strip(), " ".join(reversed(after)).strip())


def compare(before: Selection, after: Selection, label_before: str, label_after: str) -> Comparison:
    """Compare two selections."""
    (left, errors_left), (right, errors_right) = _side(before), _side(after)
    changes = _changes(left, right)
    direction, verdict = _verdict(changes, left.count, right.count)
    sources = source(before, left.count), source(after, right.count)
    return Comparison(
        label_before=label_before,
        label_after=label_after,
        n_before=left.count,
        n_after=right.count,
        errors_before=errors_left,
        errors_after=errors_right,
        changes=changes,
        verdict=verdict,
        direction=direction,
        before=Chart(spread(single(left)), sources[0], before.step_ms),
        after=Chart(spread(single(right)), sources[1], after.step_ms),
        sources=sources,
    )


def changes_between(before: Histogram, after: Histogram, *, confidence: float = 0.95) -> tuple[Change, ...]:
    """Return how mean, p50, p95 and p99 changed, with intervals by bootstrap over the bins."""
    return _changes(before, after, confidence)


def least_n(statistic: str) -> int:
    """Return how many values each side needs for a statistic to be compared."""
    if statistic == "mean":
        return LEAST_N
    return max(LEAST_N, round(LEAST_BEYOND / (1 - _QUANTILES[statistic])))


def _side(selection: Selection) -> tuple[Histogram, float | None]:
    """Read a side to the millisecond: whole minutes from the rollups, cut ones from the single events.

    Single events are kept 48 h; before that a cut minute belongs to neither side.
    """
    start_ms = -(-selection.start_ms // MINUTE_MS) * MINUTE_MS
    end_ms = selection.end_ms - selection.end_ms % MINUTE_MS
    merged, errors = Histogram(), 0
    if start_ms < end_ms:
        inner = replace(selection, start_ms=start_ms, end_ms=end_ms)
        read = rows.read(inner, [s.id for s in series(inner)], tier_ms=inner.total_tier_ms)
        merged = read.stack(np.zeros(len(read), dtype=np.int64), 1).histogram()
        errors = int(read.sums["n_errors"].sum())
    for start_ms, end_ms in _cut_minutes(selection):
        for row in rows.singles(replace(selection, start_ms=start_ms, end_ms=end_ms)):
            merged.add(row["duration_us"])
            errors += row["keep_reason"] == "failed"
    return merged, errors / merged.count if merged.count else None


def _cut_minutes(selection: Selection) -> list[tuple[int, int]]:
    start, end = selection.start_ms, selection.end_ms
    after_start, before_end = -(-start // MINUTE_MS) * MINUTE_MS, end - end % MINUTE_MS
    if after_start > before_end:
        return [(start, end)]
    return [(a, b) for a, b in ((start, after_start), (before_end, end)) if a < b]


def _changes(before: Histogram, after: Histogram, confidence: float = 0.95) -> tuple[Change, ...]:
    if not before.count or not after.count:
        return ()
    random = np.random.default_rng([before.count, after.count, before.sum % 2**32, after.sum % 2**32])
    left, right = _replicates(before, random), _replicates(after, random)
    tail = 100 * (1 - confidence) / 2
    found = []
    for statistic in ("mean", *_QUANTILES):
        was, is_ = _value(before, statistic), _value(after, statistic)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = right[statistic] / left[statistic] - 1
        low, high = (
            np.nanpercentile(relative, [tail, 100 - tail]) if np.isfinite(relative).any() else (0.0, 0.0)
        )
        change = is_ / was - 1 if was else 0.0
        enough = min(before.count, after.count) >= least_n(statistic)
        found.append(Change(statistic, was / 1000, is_ / 1000, change, float(low), float(high), enough))
    return tuple(found)


def _replicates(histogram: Histogram, random: np.random.Generator) -> dict[str, Floats]:
    """Draw as many values again from the distribution, many times (Efron 1979), and take the statistics.

    Drawing bins instead of values loses the spread within a bin: at most the bound of the histogram.
    """
    indexes = sorted(histogram.bins)
    counts = np.array([histogram.bins[i] for i in indexes], dtype=np.float64)
    width = indexes[-1] + 2
    drawn = random.multinomial(histogram.count, counts / counts.sum(), size=REPLICATES)
    bins: Ints = np.zeros((REPLICATES, width), dtype=np.int64)
    bins[:, np.array(indexes) + 1] = drawn
    n = np.full(REPLICATES, histogram.count, dtype=np.int64)
    low, high = np.full(REPLICATES, histogram.min), np.full(REPLICATES, histogram.max)
    stack = Stack(bins, n, n, low, high)
    out: dict[str, Floats] = {name: stack.quantile(q) for name, q in _QUANTILES.items()}
    out["mean"] = (bins @ stack.middles()) / histogram.count
    return out


def _value(histogram: Histogram, statistic: str) -> float:
    return histogram.mean if statistic == "mean" else histogram.quantile(_QUANTILES[statistic])


def _verdict(changes: tuple[Change, ...], n_before: int, n_after: int) -> tuple[Direction, str]:
    counted = f"n = {n_before:,} and {n_after:,}"
    usable = {c.statistic: c for c in changes if c.enough}
    chosen = usable.get("p95") or usable.get("p50")
    if chosen is None:
        return "unknown", f"Too few to tell: {counted}; at least {LEAST_N} on each side are needed."
    name = _NAMES[chosen.statistic]
    was, is_ = duration(chosen.before_ms), duration(chosen.after_ms)
    bounds = f"{interval(chosen.low, chosen.high)} %"
    if chosen.direction in ("fell", "rose"):
        change = percent(chosen.change)
        text = f"{name} {chosen.direction} from {was} to {is_} ({change}, 95 % interval {bounds})"
    else:
        text = f"{name} did not change beyond noise: {was} and {is_} (95 % interval {bounds})"
    return chosen.direction, f"{text}, {counted}."
