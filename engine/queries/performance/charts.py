"""What the charts show, as Arrow tables: percentile bands, traffic, heat map, distribution. Times in ms."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.lib.histogram import GAMMA, ZERO_BIN
from engine.lib.histograms import Ints, Stack
from engine.queries.performance import rows
from engine.queries.performance.figures import source
from engine.queries.performance.selection import Selection, Source, series
from engine.records import db

AT = pa.timestamp("ms", tz="UTC")
HEAT_BINS_PER_DOUBLING = 2
DISTRIBUTION_BINS_PER_DOUBLING = 4
_STEPS_PER_DOUBLING = 32


@dataclass(frozen=True)
class Chart:
    """A table and where it comes from."""

    table: pa.Table
    source: Source
    step_ms: int


@dataclass(frozen=True)
class OverTime:
    """A window added up per step: read once, it makes all its charts."""

    selection: Selection
    read: rows.Rows
    step_ms: int
    stack: Stack
    starts: Ints
    """Where each step begins, in milliseconds."""

    def chart(self, table: pa.Table) -> Chart:
        """Return a table with what it stands on."""
        return Chart(table, source(self.selection, int(self.stack.count.sum())), self.step_ms)


def over_time(selection: Selection) -> OverTime:
    """Read a window for its charts; each also takes a selection, and then reads for itself."""
    selection = selection.snapped()
    step = selection.step_ms
    read = rows.read(selection, [row.id for row in series(selection)])
    first = selection.start_ms - selection.start_ms % step
    starts = np.arange(first, selection.end_ms, step, dtype=np.int64)
    stack = read.stack(_step_of(read.bucket_at_ms, selection), len(starts))
    return OverTime(selection, read, step, stack, starts)


def bands(asked: Selection | OverTime) -> Chart:
    """Return per step: at, n, p50, p95, p99, mean, max (ms); nulls where a step holds nothing."""
    found = _read(asked)
    stack = found.stack
    columns = {"p50": stack.quantile(0.5), "p95": stack.quantile(0.95), "p99": stack.quantile(0.99)}
    columns |= {"mean": stack.mean(), "max": np.where(stack.count > 0, stack.max, np.nan)}
    table = pa.table(
        {"at": pa.array(found.starts, AT), "n": pa.array(stack.count)}
        | {name: pa.array(values / 1000, from_pandas=True) for name, values in columns.items()}
    )
    return found.chart(table)


def traffic(asked: Selection | OverTime) -> Chart:
    """Return per step and class: at, class (good, warning, critical), n; and the errors within critical."""
    found = _read(asked)
    read, starts = found.read, found.starts
    groups = _step_of(read.bucket_at_ms, found.selection)
    good, warning, errors = (read.add_up(c, groups, len(starts)) for c in ("n_good", "n_warning", "n_errors"))
    counts = {"good": good, "warning": warning, "critical": found.stack.count - good - warning}
    table = pa.table(
        {
            "at": pa.array(np.tile(starts, len(counts)), AT),
            "class": pa.array(np.repeat(list(counts), len(starts)).tolist()),
            "n": pa.array(np.concatenate(list(counts.values()))),
            "n_errors": pa.array(np.concatenate([np.zeros(2 * len(starts), dtype=np.int64), errors])),
        }
    )
    return found.chart(table)


def heat_map(asked: Selection | OverTime) -> Chart:
    """Return per step and latency band: at, end, low, high (ms), n; bands are half a doubling wide."""
    found = _read(asked)
    coarse, edges = _coarse(found.stack, HEAT_BINS_PER_DOUBLING)
    time, band = np.nonzero(coarse)
    at = found.starts[time]
    table = pa.table(
        {
            "at": pa.array(at, AT),
            "end": pa.array(at + found.step_ms, AT),
            "low": pa.array(edges[band] / 1000),
            "high": pa.array(edges[band + 1] / 1000),
            "n": pa.array(coarse[time, band]),
        }
    )
    return found.chart(table)


def distribution(asked: Selection | OverTime) -> Chart:
    """Return per latency band, a quarter doubling wide: low, high (ms), n, share, cumulated share."""
    found = _read(asked)
    return found.chart(spread(found.stack.total()))


def spread(stack: Stack) -> pa.Table:
    """Return the table of `distribution` for the first group of a stack."""
    coarse, edges = _coarse(stack, DISTRIBUTION_BINS_PER_DOUBLING)
    counts = coarse[0]
    filled = np.flatnonzero(counts)
    band = np.arange(filled[0], filled[-1] + 1) if len(filled) else filled
    n = max(int(counts.sum()), 1)
    return pa.table(
        {
            "low": pa.array(edges[band] / 1000),
            "high": pa.array(edges[band + 1] / 1000),
            "n": pa.array(counts[band]),
            "share": pa.array(counts[band] / n),
            "cumulated": pa.array(np.cumsum(counts[band]) / n),
        }
    )


def deploys(selection: Selection) -> pa.Table:
    """Return the deploy marks in a window: at, service, version, note."""
    found = db.metrics().read(
        """select at_ms, service, version, note from deploys where at_ms >= :start and at_ms < :end
           and (:service is null or service = :service) order by at_ms""",
        start=selection.start_ms,
        end=selection.end_ms,
        service=selection.service,
    )
    columns = ("service", "version", "note")
    return pa.table(
        {"at": pa.array([row["at_ms"] for row in found], AT)}
        | {name: pa.array([row[name] for row in found], pa.string()) for name in columns}
    )


def _read(asked: Selection | OverTime) -> OverTime:
    return asked if isinstance(asked, OverTime) else over_time(asked)


def _step_of(bucket_at_ms: Ints, selection: Selection) -> Ints:
    step = selection.step_ms
    return bucket_at_ms // step - selection.start_ms // step


def _coarse(stack: Stack, per_doubling: int) -> tuple[Ints, np.typing.NDArray[np.float64]]:
    """Add neighbouring bins up; return counts per wide bin, and the edges of those in microseconds.

    Bin i ends at GAMMA ** i, so bins 1..k of a doubling share a wide one; zero and 1 us are the first.
    """
    merged = _STEPS_PER_DOUBLING // per_doubling
    index = np.arange(stack.bins.shape[1]) + ZERO_BIN
    wide = np.maximum(-(-index // merged), 0)
    n_wide = int(wide.max()) + 1
    coarse = np.zeros((stack.bins.shape[0], n_wide), dtype=np.int64)
    np.add.at(coarse.T, wide, stack.bins.T)
    edges = np.concatenate([[0.0], GAMMA ** (merged * np.arange(n_wide, dtype=np.float64))])
    return coarse, edges
