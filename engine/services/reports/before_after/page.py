"""From the data of a comparison to its page. Runs in the child process."""

from pathlib import Path
from typing import Any

from engine.services.reports import charts, wording
from engine.services.reports.before_after.shape import ComparisonData, Side, Statistic
from engine.services.reports.page import Page, draw

_GREY, _BLUE = "#7b8794", "#4263eb"
_NAMES = {"mean": "Mean", "p50": "Median", "p95": "95th percentile", "p99": "99th percentile"}
_TONES = {"fell": "good", "rose": "bad"}
_UNITS = {
    "http": "requests",
    "run": "page runs",
    "fragment": "runs of a live part",
    "task": "attempts",
    "call": "outbound calls",
    "query": "statements",
}


def compose(data: dict[str, Any]) -> Page:
    """Return the pages of the report."""
    return draw(Path(__file__).parent, _values(ComparisonData.from_json(data)))


def _values(data: ComparisonData) -> dict[str, Any]:
    made = wording.moment(data.made_at_ms, data.zone)
    return {
        "title": "Before and after",
        "period_line": f"{wording.period(data.start_ms, data.end_ms, data.zone)} ({data.zone})",
        "made_line": f"Covers {wording.span(data.end_ms - data.start_ms)}. Made {made} by {data.owner}.",
        "source_line": f"Source: {_UNITS[data.kind]} recorded by Offload"
        + (f" for {data.service}" if data.service else ""),
        "data": data,
        "units": _UNITS[data.kind],
        "moment": wording.moment(data.moment_ms, data.zone) if data.moment_ms is not None else "",
        "tone": _TONES.get(data.direction, ""),
        "tiles": [_tile(statistic) for statistic in data.statistics],
        "rows": [_row(statistic) for statistic in data.statistics],
        "sides": [_side("Before", data.before, data.zone), _side("After", data.after, data.zone)],
        "empty": [name for name, side in (("before", data.before), ("after", data.after)) if not side.n],
        "chart": _chart(data),
    }


def _tile(statistic: Statistic) -> dict[str, str]:
    enough = statistic.direction != "unknown"
    before, after = wording.duration(statistic.before_ms), wording.duration(statistic.after_ms)
    return {
        "label": _NAMES[statistic.name],
        "value": f"{before} → {after}",
        "note": wording.change(statistic.change) if enough else "too few values",
        "tone": _TONES.get(statistic.direction, ""),
    }


def _row(statistic: Statistic) -> dict[str, Any]:
    readings = {
        "same": "no change beyond noise",
        "unknown": f"too few: {statistic.least_n} a side needed",
    }
    enough = statistic.direction != "unknown"
    low, high = wording.change(statistic.low), wording.change(statistic.high)
    return {
        "name": _NAMES[statistic.name],
        "it": statistic,
        "interval": f"{low.removesuffix(' %')} to {high}" if enough else "–",
        "reading": readings.get(statistic.direction, statistic.direction),
        "tone": _TONES.get(statistic.direction, ""),
    }


def _side(name: str, side: Side, zone: str) -> dict[str, Any]:
    return {
        "name": name,
        "it": side,
        "period": wording.period(side.start_ms, side.end_ms, zone),
        "failed": wording.percent(side.n_failed / side.n) if side.n_failed else "0 %" if side.n else "–",
    }


def _chart(data: ComparisonData) -> str:
    spreads = [
        charts.Spread(
            f"Before (dashed): n = {wording.count(data.before.n)}", _GREY, data.before.bands, "3 2"
        ),
        charts.Spread(f"After: n = {wording.count(data.after.n)}", _BLUE, data.after.bands),
    ]
    alt = f"Both distributions, from the shortest duration on the left to the longest. {data.verdict}"
    return charts.spread_chart(spreads, wording.tick_duration, alt=alt, height=160)
