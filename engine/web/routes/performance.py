"""Performance as data: the figures and charts of the Performance page, as JSON or CSV."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from engine import clock
from engine.errors import InvalidInput, NotFound
from engine.lib import csvtext
from engine.lib.moment import Moment
from engine.queries import findings as reads
from engine.queries import performance
from engine.queries.performance import Chart, Kpi, Selection, Source
from engine.services import findings
from engine.web import actors
from engine.words import Actor, Role

router = APIRouter(prefix="/api/performance", tags=["performance"])

Viewer = Annotated[Actor, Depends(actors.at_least(Role.VIEWER))]
Staff = Annotated[Actor, Depends(actors.at_least(Role.STAFF))]
Operator = Annotated[Actor, Depends(actors.at_least(Role.OPS))]
Format = Literal["json", "csv"]
Kind = Literal["http", "stream", "run", "fragment", "task", "wait", "call", "query"]
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"

CHARTS: dict[str, Callable[[Selection], Chart]] = {
    "bands": performance.bands,
    "traffic": performance.traffic,
    "heat-map": performance.heat_map,
    "distribution": performance.distribution,
}


def selection(
    period: Annotated[str | None, Query(description=", ".join(performance.PERIODS))] = None,
    start: Moment | None = None,
    end: Moment | None = None,
    kind: Kind = "http",
    service: Annotated[str | None, Query(max_length=64)] = None,
    name: Annotated[
        str | None, Query(max_length=400, description="A route template or another name.")
    ] = None,
    method: Annotated[str | None, Query(max_length=16)] = None,
) -> Selection:
    """Return the window and filter a request asks for: a period up to now, or start and end."""
    filters: dict[str, Any] = {"kind": kind, "service": service, "name": name, "method": method}
    if start is None and end is None:
        return performance.last(period or "24h", **filters)
    if period is not None or start is None:
        raise InvalidInput(
            "Give a period, or a start and an end.", fields={"period": "not with start and end"}
        )
    end_ms = clock.to_ms(end) if end else clock.now_ms()
    return performance.between(clock.to_ms(start), end_ms, **filters)


Window = Annotated[Selection, Depends(selection)]


@router.get("/overview", summary="The figures of a period beside the period before")
def overview(_viewer: Viewer, window: Window) -> JSONResponse:
    """Return requests, Apdex, percentiles, error rate and queries, with n and change."""
    found = performance.overview(window)
    items = [_item(kpi) for kpi in found.kpis]
    return JSONResponse(
        {"source": source_document(found.source), "items": items, "figures": asdict(found.figures)}
    )


def _item(kpi: Kpi) -> dict[str, Any]:
    """Return a counter in its unit: shares are fractions everywhere else."""
    item = asdict(kpi) | {"change": kpi.change}
    if kpi.unit == "%":
        item |= {key: item[key] and 100 * item[key] for key in ("value", "previous")}
    return item


@router.get("/charts/{chart}", summary="What a chart shows: bands, traffic, heat-map, distribution")
def chart(_viewer: Viewer, chart: str, window: Window, format: Format = "json") -> Response:
    """Return the rows of a chart; times in milliseconds."""
    if chart not in CHARTS:
        raise NotFound(f"There is no chart {chart!r}; there are {', '.join(CHARTS)}.")
    return _table(CHARTS[chart](window), format, chart)


@router.get("/slowest", summary="Routes by total time, p95, queries or errors")
def slowest(
    _viewer: Viewer,
    window: Window,
    by: performance.Order = "total",
    limit: Annotated[int, Query(ge=1, le=500)] = 20,
    format: Format = "json",
) -> Response:
    """Return the routes (or tasks, pages, calls, statements: `kind`) in which the time goes."""
    return _table(performance.slowest(window, by=by, limit=limit), format, "slowest")


@router.get("/hours", summary="Statistics per hour and series")
def hours(_viewer: Viewer, window: Window, format: Format = "json") -> Response:
    """Return what each hour adds up to, newest first."""
    return _table(performance.statistics(window), format, "hours")


@router.get("/evidence", summary="Single slow, failed and heavy requests")
def evidence(
    _viewer: Viewer, window: Window, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> JSONResponse:
    """Return kept single events with their queries, slowest first."""
    found = performance.evidence(window, limit=limit)
    return JSONResponse(
        {"source": source_document(found.source), "items": [_event(event) for event in found.events]}
    )


@router.get("/traces/{correlation_id}", summary="Everything under one correlation id")
def trace(viewer: Viewer, correlation_id: str) -> JSONResponse:
    """Return a request, its operations, and the tasks it started as far as they may be seen."""
    found = performance.trace(viewer, correlation_id)
    if not found.events and not found.tasks:
        raise NotFound("Nothing is recorded under this id.")
    return JSONResponse(
        {
            "correlation_id": correlation_id,
            "events": [_event(event) for event in found.events],
            "bars": [asdict(bar) for bar in found.bars],
            "tasks": [_task(task) for task in found.tasks],
        }
    )


@router.get("/cost", summary="What the monitoring costs")
def cost(_viewer: Viewer, window: Window) -> JSONResponse:
    """Return the share of CPU time, the cost per unit, and what was dropped or lost."""
    return JSONResponse(asdict(performance.cost(window)))


class Change(BaseModel):
    """What to change about a finding."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["open", "acknowledged", "muted", "fixed"] | None = None
    muted_until: Moment | None = None
    owner: str | None = Field(None, max_length=64)
    note: str | None = Field(None, max_length=2_000)


class Target(BaseModel):
    """An Apdex target."""

    model_config = ConfigDict(extra="forbid")

    pattern: str = Field(min_length=1, max_length=200, pattern=_PRINTABLE)
    target_ms: int | None = Field(
        None, ge=1, le=findings.MAX_TARGET_MS, strict=True, description="Leave out for the default."
    )


class Deploy(BaseModel):
    """A deploy mark."""

    model_config = ConfigDict(extra="forbid")

    service: str = Field(min_length=1, max_length=64, pattern=_PRINTABLE)
    version: str = Field(min_length=1, max_length=64, pattern=_PRINTABLE)
    note: str = Field("", max_length=2_000)
    at: Moment | None = None


@router.get("/findings", summary="What is wrong")
def list_findings(
    _viewer: Viewer,
    state: Annotated[list[Literal["open", "acknowledged", "muted", "fixed"]] | None, Query()] = None,
    service: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> JSONResponse:
    """Return findings, the costliest first; open ones unless asked otherwise."""
    found = reads.listed(states=tuple(state or ("open",)), service=service, limit=limit)
    return JSONResponse({"items": [finding.document() for finding in found], "counts": reads.counts()})


@router.post("/findings/{finding_id}", summary="Acknowledge, mute, fix, assign, annotate")
def change_finding(staff: Staff, finding_id: str, body: Change) -> JSONResponse:
    """Change a finding; it opens again by itself when it is seen after it was called fixed."""
    if body.state is not None:  # first: it may be refused, and then nothing has changed
        until = clock.to_ms(body.muted_until) if body.muted_until else None
        findings.set_state(staff, finding_id, body.state, muted_until_ms=until)
    if body.owner is not None or body.note is not None:
        findings.describe(staff, finding_id, owner=body.owner, note=body.note)
    found = reads.one(finding_id)
    if found is None:
        raise NotFound("There is no such finding.")
    return JSONResponse(found.document())


@router.get("/targets", summary="Apdex targets by route pattern")
def list_targets(_viewer: Viewer) -> JSONResponse:
    """Return the patterns with a target of their own, most specific first."""
    return JSONResponse({"items": [{"pattern": p, "target_ms": t} for p, t in findings.targets()]})


@router.put("/targets", summary="Set an Apdex target")
def set_target(operator: Operator, body: Target) -> JSONResponse:
    """Set or remove the target of a pattern; recorders follow within half a minute."""
    findings.set_target(operator, body.pattern, body.target_ms)
    return JSONResponse(body.model_dump())


@router.post("/deploys", status_code=201, summary="Mark a deploy")
def mark_deploy(staff: Staff, body: Deploy) -> JSONResponse:
    """Mark on the charts that a service changed."""
    at_ms = clock.to_ms(body.at) if body.at else clock.now_ms()
    findings.mark_deploy(staff, body.service, body.version, body.note, at_ms=at_ms)
    return JSONResponse({"service": body.service, "version": body.version, "at": clock.iso(at_ms)}, 201)


def _table(found: Chart, format: Format, name: str) -> Response:
    records = found.table.to_pylist()
    if format == "csv":
        headers = {"Content-Disposition": f'attachment; filename="performance-{name}.csv"'}
        return Response(
            csvtext.write(found.table.column_names, records), media_type="text/csv", headers=headers
        )
    items = [{key: _json(value) for key, value in row.items()} for row in records]
    return JSONResponse({"source": source_document(found.source), "step_ms": found.step_ms, "items": items})


def _json(value: Any) -> Any:
    return clock.iso_of(value) if isinstance(value, datetime) else value


def source_document(source: Source) -> dict[str, Any]:
    """Return what numbers stand on as JSON."""
    window = {"start": clock.iso(source.start_ms), "end": clock.iso(source.end_ms)}
    rest = {key: value for key, value in asdict(source).items() if not key.endswith("_ms")}
    return window | rest


def _event(event: performance.Event) -> dict[str, Any]:
    document = asdict(event) | {"at": event.at}
    document.pop("at_ms")
    return document


def _task(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: clock.iso(row[f"{name}_ms"]) for name in ("created_at", "started_at", "finished_at")}
    return (
        {"task_id": row["id"]} | {name: row[name] for name in ("type", "state", "owner", "attempt")} | times
    )
