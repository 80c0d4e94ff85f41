"""From the data of a performance summary to its page. Runs in the child process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.services.reports import charts, wording
from engine.services.reports.page import Page, draw
from engine.services.reports.performance_summary.shape import PerformanceData, Route

_BLUE, _LIGHT, _RED, _DEEP = "#4263eb", "#a5b8f3", "#c92a2a", "#18243d"
_GOOD_APDEX, _FAIR_APDEX = 0.85, 0.7
_GOOD_FAILED, _FAIR_FAILED = 0.01, 0.05


def compose(data: dict[str, Any]) -> Page:
    """Return the pages of the report."""
    found = PerformanceData.from_json(data)
    about = 2 + (len(found.routes) + len(found.pages) + len(found.tasks)) // 30
    return draw(Path(__file__).parent, _values(found), about_pages=about)


def _values(data: PerformanceData) -> dict[str, Any]:
    length_ms = data.end_ms - data.start_ms
    return {
        "title": "Performance summary",
        "period_line": f"{wording.period(data.start_ms, data.end_ms, data.zone)} ({data.zone})",
        "made_line": f"Covers {wording.span(length_ms)}. Made {wording.moment(data.made_at_ms, data.zone)}.",
        "source_line": "Source: requests recorded by Offload"
        + (f" for {data.service}" if data.service else ""),
        "data": data,
        "length": wording.span(length_ms),
        "bucket": wording.interval(data.bucket_ms),
        "tiles": _tiles(data),
        "latency_chart": _latency(data),
        "traffic_chart": _traffic(data),
        "routes": _rows(data.routes),
        "pages": _rows(data.pages),
        "tasks": _rows(data.tasks),
    }


def _tiles(data: PerformanceData) -> list[dict[str, str]]:
    now, before = data.requests, data.before
    failed = now.failed_share
    return [
        _tile("Requests", wording.count(now.n), f"{wording.count(before.n)} before"),
        _tile(
            "Failed",
            wording.percent(failed),
            f"{wording.count(now.n_failed)} requests",
            _tone(failed, _GOOD_FAILED, _FAIR_FAILED),
        ),
        _tile(
            "Apdex",
            "–" if now.apdex is None else f"{now.apdex:.2f}",
            "nothing before" if before.apdex is None else f"{before.apdex:.2f} before",
            _tone(None if now.apdex is None else -now.apdex, -_GOOD_APDEX, -_FAIR_APDEX),
        ),
        _time_tile("Median", now.p50, before.p50, data.target_ms),
        _time_tile("95th percentile", now.p95, before.p95, data.target_ms),
        _time_tile("99th percentile", now.p99, before.p99, data.target_ms),
    ]


def _tile(label: str, value: str, note: str, tone: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note, "tone": tone}


def _time_tile(label: str, now: float | None, before: float | None, target_ms: int) -> dict[str, str]:
    note = f"{wording.duration(before)} before" if before is not None else "nothing before"
    return _tile(label, wording.duration(now), note, _tone(now, target_ms, 4 * target_ms))


def _tone(value: float | None, good: float, fair: float) -> str:
    if value is None:
        return ""
    return "good" if value <= good else "warning" if value <= fair else "bad"


def _axis(data: PerformanceData) -> charts.Axis:
    starts = [bucket.start_ms for bucket in data.buckets]
    return charts.Axis(starts, data.bucket_ms, max(data.start_ms, data.drawn_from_ms), data.end_ms, data.zone)


def _latency(data: PerformanceData) -> str:
    lines = [
        charts.Line("99th percentile", _LIGHT, [b.p99 for b in data.buckets], 1.2),
        charts.Line("95th percentile", _BLUE, [b.p95 for b in data.buckets], 1.8),
        charts.Line("median", _DEEP, [b.p50 for b in data.buckets], 1.8),
    ]
    requests = data.requests
    alt = (
        f"Response times over the period: half within {wording.duration(requests.p50)}, 95 % within "
        f"{wording.duration(requests.p95)}, 99 % within {wording.duration(requests.p99)}."
    )
    mark = charts.Mark(f"target {wording.duration(data.target_ms)}", data.target_ms)
    return charts.line_chart(_axis(data), lines, wording.tick_duration, alt=alt, mark=mark)


def _traffic(data: PerformanceData) -> str:
    stacks = [
        charts.Line("answered", _LIGHT, [b.n - b.n_failed for b in data.buckets]),
        charts.Line("failed", _RED, [b.n_failed for b in data.buckets]),
    ]
    alt = (
        f"{wording.count(data.requests.n)} requests over the period, {data.requests.n_failed} of them failed."
    )
    return charts.bar_chart(_axis(data), stacks, wording.count, alt=alt)


def _rows(routes: Sequence[Route]) -> list[dict[str, Any]]:
    """Put beside each route the bar of its share."""
    return [{"route": route, "bar": charts.share_bar(route.share, _BLUE)} for route in routes]
