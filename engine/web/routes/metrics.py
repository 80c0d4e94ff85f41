"""`GET /metrics`: OpenMetrics text from the rollups, one answer for all processes of the installation.

Names and boundaries follow OpenTelemetry's semantic conventions (v1.44).
A value within 1.1 % of a boundary may count on its other side. Counters grow over all that is kept.
"""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import (
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.responses import Response

from engine import clock, settings
from engine.lib.histogram import Histogram, middle_of
from engine.queries import performance
from engine.queries.performance.gauges import gauges
from engine.queries.performance.selection import SeriesRow
from engine.records.rollups import Rollup
from engine.web import actors
from engine.words import Actor, Role

router = APIRouter(tags=["performance"])

HTTP_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
DB_BOUNDS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
TASK_BOUNDS_S = (*HTTP_BOUNDS_S, 30, 60, 120, 300)

_FAMILIES: tuple[tuple[str, str, str, tuple[float, ...], tuple[str, ...]], ...] = (
    # kind, name, help, boundaries, labels
    (
        "http",
        "http_server_request_duration",
        "Duration of HTTP requests.",
        HTTP_BOUNDS_S,
        ("service_name", "http_route", "http_request_method", "http_response_status_class"),
    ),
    (
        "run",
        "offload_page_run_duration",
        "Duration of page runs.",
        HTTP_BOUNDS_S,
        ("service_name", "page", "outcome"),
    ),
    (
        "fragment",
        "offload_fragment_run_duration",
        "Duration of fragment runs.",
        HTTP_BOUNDS_S,
        ("service_name", "fragment", "outcome"),
    ),
    (
        "task",
        "messaging_process_duration",
        "Duration of task attempts.",
        TASK_BOUNDS_S,
        ("service_name", "messaging_destination_name", "outcome", "messaging_system"),
    ),
    (
        "wait",
        "offload_task_wait_duration",
        "Time tasks waited before an attempt.",
        TASK_BOUNDS_S,
        ("service_name", "messaging_destination_name"),
    ),
    (
        "call",
        "http_client_request_duration",
        "Duration of outbound calls.",
        HTTP_BOUNDS_S,
        ("service_name", "target", "outcome", "http_request_method", "server_address", "server_port"),
    ),
)


@router.get("/metrics", summary="OpenMetrics", response_class=Response)
def metrics(_viewer: Annotated[Actor, Depends(actors.at_least(Role.VIEWER))]) -> Response:
    """Return everything a scraper wants."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Rollups())
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return Response(text, media_type=CONTENT_TYPE_LATEST)


class _Rollups(Collector):
    def collect(self) -> Iterator[Metric]:
        kinds = (*(family[0] for family in _FAMILIES), "query")
        grown = performance.since_ever(kinds)
        for kind, name, text, bounds, labels in _FAMILIES:
            family = HistogramMetricFamily(f"{name}_seconds", text, labels=labels, unit="seconds")
            for values, histogram in _by_labels(grown, kind).items():
                _add(family, list(values[: len(labels)]), histogram, bounds)
            yield family
        yield _queries(grown)
        yield from _now()


def _queries(grown: list[tuple[SeriesRow, Rollup]]) -> Metric:
    """Statements added up per service: their texts are no labels (too many)."""
    family = HistogramMetricFamily(
        "db_client_operation_duration_seconds",
        "Duration of queries.",
        labels=("service_name", "db_system_name"),
        unit="seconds",
    )
    totals: dict[str, Histogram] = {}
    for series, rollup in grown:
        if series.kind == "query":
            totals.setdefault(series.service, Histogram()).merge(rollup.histogram)
    for service, histogram in totals.items():
        _add(family, [service, "sqlite"], histogram, DB_BOUNDS_S)
    return family


def _now() -> Iterator[Metric]:
    now_ms = clock.now_ms()
    found = gauges(now_ms, alive_since_ms=now_ms - int(settings.get().lease_s * 1000))
    tasks = GaugeMetricFamily("offload_tasks", "Tasks by state.", labels=("state",))
    for state, n in found.tasks.items():
        tasks.add_metric([state], n)
    findings = GaugeMetricFamily("offload_findings", "Findings by state.", labels=("state",))
    for state, n in found.findings.items():
        findings.add_metric([state], n)
    yield from (tasks, findings)
    yield GaugeMetricFamily("offload_workers", "Live worker processes.", value=found.workers)
    yield GaugeMetricFamily("offload_worker_threads", "Threads of live workers.", value=found.worker_threads)
    oldest_s = found.oldest_waiting_ms / 1000
    yield GaugeMetricFamily(
        "offload_oldest_waiting_seconds", "Age of the oldest waiting task.", value=oldest_s
    )
    yield GaugeMetricFamily("offload_recorders", "Processes that record.", value=found.recorders)
    units = GaugeMetricFamily(
        "offload_monitor_units", "Units by what became of them, 7 days.", labels=("fate",)
    )
    for fate in ("stored", "dropped", "lost"):
        units.add_metric([fate], getattr(found, fate))
    yield units


def _by_labels(grown: list[tuple[SeriesRow, Rollup]], kind: str) -> dict[tuple[str, ...], Histogram]:
    """Add up the series of a kind that no label tells apart: a sample may be there only once."""
    found: dict[tuple[str, ...], Histogram] = {}
    for series, rollup in grown:
        if series.kind == kind:
            found.setdefault(_values(series), Histogram()).merge(rollup.histogram)
    return found


def _values(series: SeriesRow) -> tuple[str, ...]:
    """Return the values of all labels a family of this kind may have, in their order."""
    if series.kind == "http":
        return (series.service, series.name, series.method, series.outcome)
    if series.kind == "wait":
        return (series.service, series.name)
    values = (series.service, series.name, series.outcome)
    if series.kind == "task":
        return (*values, "huey")
    return (*values, *_address(series.name)) if series.kind == "call" else values


def _address(target: str) -> tuple[str, str, str]:
    """Split `GET example.com:8080` into method, address and port, as far as it is spelt like that."""
    method, _, host = target.rpartition(" ")
    address, _, port = host.rpartition(":")
    return (method, address, port) if port.isdecimal() else (method, host, "")


def _add(
    family: HistogramMetricFamily, labels: list[str], histogram: Histogram, bounds_s: tuple[float, ...]
) -> None:
    ordered = sorted((middle_of(index) / 1e6, count) for index, count in histogram.bins.items())
    buckets: list[tuple[str, float]] = []
    position = cumulated = 0
    for bound in bounds_s:
        while position < len(ordered) and ordered[position][0] <= bound:
            cumulated += ordered[position][1]
            position += 1
        buckets.append((str(float(bound)), cumulated))
    buckets.append(("+Inf", histogram.count))
    family.add_metric(labels, buckets=buckets, sum_value=histogram.sum / 1e6)
