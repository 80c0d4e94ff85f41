"""What was recorded in the period of a performance summary."""

from dataclasses import asdict
from typing import Any

from engine import clock, settings
from engine.queries import summary
from engine.records.rollups import DAY_MS, HOUR_MS, MINUTE_MS, Rollup, floor
from engine.services.reports.performance_summary.form import Form
from engine.services.reports.performance_summary.shape import Bucket, PerformanceData, Route, Totals

_BUCKETS = (  # the longest period drawn with this width of bucket: at most about 200 points
    (3 * HOUR_MS, MINUTE_MS),
    (16 * HOUR_MS, 5 * MINUTE_MS),
    (2 * DAY_MS, 15 * MINUTE_MS),
    (8 * DAY_MS, HOUR_MS),
    (50 * DAY_MS, 6 * HOUR_MS),
)
_ROUTES, _OTHERS = 20, 10


def gather(form: Form, owner: str) -> dict[str, Any]:
    """Return the data of the report as JSON; the period is widened to what is still kept of it."""
    start_ms, end_ms = _window(form)
    bucket_ms = bucket_of(end_ms - start_ms)
    now = summary.period(form.service, "http", start_ms, end_ms, bucket_ms)
    before = summary.period(form.service, "http", 2 * start_ms - end_ms, start_ms, DAY_MS)
    routes = summary.parts(form.service, "http", start_ms, end_ms)
    data = PerformanceData(
        start_ms=start_ms,
        end_ms=end_ms,
        bucket_ms=bucket_ms,
        zone=form.zone,
        made_at_ms=clock.now_ms(),
        target_ms=settings.get().apdex_t_ms,
        service=form.service,
        requests=_totals(now.total),
        before=_totals(before.total),
        buckets=_series(now),
        routes=[_route(part) for part in routes[:_ROUTES]],
        n_routes=len(routes),
        all_ms=now.total.histogram.sum / 1000,
        pages=[_route(part) for part in summary.parts(form.service, "run", start_ms, end_ms)[:_OTHERS]],
        tasks=[_route(part) for part in summary.parts(form.service, "task", start_ms, end_ms)[:_OTHERS]],
        n_dropped=summary.n_dropped(start_ms, end_ms),
    )
    return asdict(data)


def bucket_of(length_ms: int) -> int:
    """Return the width of the buckets in which a period is drawn."""
    return next((bucket for longest, bucket in _BUCKETS if length_ms <= longest), DAY_MS)


def _window(form: Form) -> tuple[int, int]:
    """Return the period in whole minutes, or in whole hours or days where finer sums are gone."""
    assert form.start and form.end, "fixed at submit"
    start_ms, end_ms = clock.to_ms(form.start), clock.to_ms(form.end)
    age_ms, limits = clock.now_ms() - start_ms, settings.get()
    if age_ms > limits.hour_keep_d * DAY_MS:
        grain = DAY_MS
    else:
        grain = HOUR_MS if age_ms > limits.minute_keep_d * DAY_MS else MINUTE_MS
    return floor(start_ms, grain), -(-end_ms // grain) * grain


def _series(period: summary.Period) -> list[Bucket]:
    """Return every bucket of the period, those without requests too: they are gaps, not absent."""
    first, width = floor(period.start_ms, period.bucket_ms), period.bucket_ms
    return [_bucket(at_ms, period.buckets.get(at_ms)) for at_ms in range(first, period.end_ms, width)]


def _bucket(at_ms: int, rollup: Rollup | None) -> Bucket:
    totals = _totals(rollup or Rollup())
    return Bucket(at_ms, totals.n, totals.n_failed, totals.p50, totals.p95, totals.p99)


def _totals(rollup: Rollup) -> Totals:
    histogram = rollup.histogram
    if not histogram.count:
        return Totals()
    apdex = (rollup.n_good + rollup.n_warning / 2) / histogram.count
    p50, p95, p99 = (histogram.quantile(q) / 1000 for q in (0.5, 0.95, 0.99))
    return Totals(histogram.count, rollup.n_errors, p50, p95, p99, apdex)


def _route(part: summary.Part) -> Route:
    histogram = part.rollup.histogram
    return Route(
        part.name,
        part.method,
        histogram.count,
        part.rollup.n_errors,
        histogram.quantile(0.5) / 1000,
        histogram.quantile(0.95) / 1000,
        histogram.max / 1000,
        histogram.sum / 1000,
    )
