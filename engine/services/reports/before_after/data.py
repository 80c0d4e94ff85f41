"""What a comparison shows: the numbers of the page Before and after."""

from dataclasses import asdict
from typing import Any

from engine import clock
from engine.errors import PermanentFailure
from engine.queries import performance
from engine.queries.performance import Chart, Comparison, Selection
from engine.queries.performance.comparison import LEAST_N, REPLICATES, RESOLUTION
from engine.services.reports.before_after.form import Form
from engine.services.reports.before_after.shape import ComparisonData, Side, Statistic


def gather(form: Form, owner: str) -> dict[str, Any]:
    """Return the data of the report as JSON; raise PermanentFailure if a route is not kept any more."""
    assert form.start and form.end, "fixed at submit"
    start_ms, end_ms = clock.to_ms(form.start), clock.to_ms(form.end)
    window = Selection(start_ms, end_ms, kind=form.kind, service=form.service or None)
    found = _compare(form, window)
    cost = performance.cost(window)
    data = ComparisonData(
        kind=form.kind,
        service=form.service,
        start_ms=start_ms,
        end_ms=end_ms,
        moment_ms=clock.to_ms(form.moment) if form.moment else None,
        deploys=_deploys(form, window),
        zone=form.zone,
        made_at_ms=clock.now_ms(),
        owner=owner,
        verdict=found.verdict,
        direction=found.direction,
        before=_side(form.route, found.before, found.errors_before),
        after=_side(form.replacement or form.route, found.after, found.errors_after),
        statistics=_statistics(found),
        least_n=LEAST_N,
        replicates=REPLICATES,
        resolution=RESOLUTION,
        n_dropped=cost.n_dropped + cost.n_lost,
    )
    return asdict(data)


def _compare(form: Form, window: Selection) -> Comparison:
    before = _narrowed(window, form.route)
    if form.replacement:
        after = _narrowed(window, form.replacement)
        return performance.compare(before, after, form.route, form.replacement)
    assert form.moment, "fixed at submit"
    return performance.around(before, clock.to_ms(form.moment))


def _narrowed(window: Selection, label: str) -> Selection:
    if found := performance.narrowed(window, label):
        return found
    raise PermanentFailure(f"What was recorded of {label} is not kept any more.", code="route_gone")


def _deploys(form: Form, window: Selection) -> list[str]:
    marks = performance.deploys(window).to_pylist()
    return [f"{mark['service']} {mark['version']}" for mark in marks if mark["at"] == form.moment]


def _side(route: str, chart: Chart, failed: float | None) -> Side:
    source = chart.source
    return Side(
        route=route,
        start_ms=source.start_ms,
        end_ms=source.end_ms,
        n=source.n,
        n_failed=round((failed or 0) * source.n),
        source=source.source,
        bands=[(row["low"], row["high"], row["share"]) for row in chart.table.to_pylist()],
    )


def _statistics(found: Comparison) -> list[Statistic]:
    return [
        Statistic(
            name=change.statistic,
            before_ms=change.before_ms,
            after_ms=change.after_ms,
            change=change.change,
            low=change.low,
            high=change.high,
            direction=change.direction,
            least_n=performance.least_n(change.statistic),
        )
        for change in found.changes
    ]
