"""What was recorded in the period of a performance summary: the numbers of the Performance page."""

from dataclasses import asdict
from typing import Any

from engine import clock, settings
from engine.queries import performance
from engine.queries.performance import Figures, Selection
from engine.services.reports.performance_summary.form import Form
from engine.services.reports.performance_summary.shape import Bucket, PerformanceData, Route, Totals

_ROUTES, _OTHERS = 20, 10
_EMPTY_SHARE = 0.75


def gather(form: Form, owner: str) -> dict[str, Any]:
    """Return the data of the report as JSON; the period is widened to whole buckets of what is kept of it."""
    assert form.start and form.end, "fixed at submit"
    asked = Selection(clock.to_ms(form.start), clock.to_ms(form.end), service=form.service or None)
    window = asked.snapped()
    overview = performance.overview(window)
    routes = performance.slowest(window, limit=_ROUTES)
    cost = performance.cost(window)
    drawn, buckets = _drawn(window)
    data = PerformanceData(
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        drawn_from_ms=drawn.start_ms,
        bucket_ms=drawn.step_ms,
        zone=form.zone,
        made_at_ms=clock.now_ms(),
        target_ms=settings.get().apdex_t_ms,
        service=form.service,
        requests=_totals(overview.figures),
        before=_totals(overview.previous),
        buckets=buckets,
        routes=_routes(routes),
        has_more_routes=routes.source.capped,
        pages=_routes(performance.slowest(window.of("run"), limit=_OTHERS)),
        tasks=_routes(performance.slowest(window.of("task"), limit=_OTHERS)),
        n_dropped=cost.n_dropped + cost.n_lost,
    )
    return asdict(data)


def _totals(figures: Figures) -> Totals:
    return Totals(figures.n, figures.n_errors, figures.p50_ms, figures.p95_ms, figures.p99_ms, figures.apdex)


def _drawn(window: Selection) -> tuple[Selection, list[Bucket]]:
    """Return what the charts show: the period, or its recorded part where that is a small part of it."""
    buckets = _series(window)
    first_ms = next((bucket.start_ms for bucket in buckets if bucket.n), window.start_ms)
    if first_ms - window.start_ms <= _EMPTY_SHARE * (window.end_ms - window.start_ms):
        return window, buckets
    part = Selection(first_ms, window.end_ms, service=window.service).snapped()
    return part, _series(part)


def _series(window: Selection) -> list[Bucket]:
    """Return every bucket of the period, those without requests too: they are gaps, not absent."""
    failed: dict[Any, int] = {}
    for row in performance.traffic(window).table.to_pylist():
        failed[row["at"]] = failed.get(row["at"], 0) + row["n_errors"]
    return [
        Bucket(clock.to_ms(row["at"]), row["n"], failed[row["at"]], row["p50"], row["p95"], row["p99"])
        for row in performance.bands(window).table.to_pylist()
    ]


def _routes(found: performance.Chart) -> list[Route]:
    rows = found.table.to_pylist()
    services = {row["service"] for row in rows}
    return [
        Route(
            name=row["name"],
            method=row["method"],
            service=row["service"] if len(services) > 1 else "",
            n=row["n"],
            n_failed=row["n_errors"],
            p50=row["p50"],
            p95=row["p95"],
            max=row["max"],
            share=row["share"],
        )
        for row in rows
    ]
