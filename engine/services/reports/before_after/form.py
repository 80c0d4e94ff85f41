"""What is asked for a comparison of before and after."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic.config import JsonDict

from engine import clock
from engine.errors import InvalidInput
from engine.queries import performance
from engine.queries.performance import Selection
from engine.queries.performance.wording import KINDS
from engine.records.db import Transaction
from engine.services.reports import wording
from engine.services.reports.catalog import refuse
from engine.services.reports.forms import Moment, ReportForm, Zone
from engine.words import Actor

TITLE = "Before and after"
DESCRIPTION = "Did it become faster? One route before and after a moment, or a route and its replacement."
_DEFAULT = timedelta(hours=24)
_ROUTE_CHARS = 300
_ROUTE: JsonDict = {"widget": "route"}


class Form(ReportForm):
    """Which route, and what it is compared with: itself after a moment, or its replacement."""

    kind: Literal["http", "run", "fragment", "task", "call", "query"] = Field(
        "http",
        title="What",
        description="Kind of work",
        json_schema_extra={"above": True, "labels": dict(KINDS)},
    )
    service: str = Field(
        "",
        title="Service",
        description="Name of a recorded service; empty: all",
        max_length=64,
        json_schema_extra={"above": True, "widget": "service"},
    )
    route: str = Field(
        title="Route",
        description="As the pages call it, such as GET /orders; a name alone means all its methods",
        min_length=1,
        max_length=_ROUTE_CHARS,
        examples=["GET /orders"],
        json_schema_extra=_ROUTE,
    )
    replacement: str = Field(
        "",
        title="Replacement",
        description="Another route to compare with; empty: the same route before and after a moment",
        max_length=_ROUTE_CHARS,
        json_schema_extra=_ROUTE,
    )
    deploy: str = Field(
        "",
        title="Deploy",
        description="Version of a deploy mark: the moment of the change",
        max_length=100,
        json_schema_extra={"widget": "deploy"},
    )
    zone: Zone = "UTC"
    moment: Moment = Field(
        None,
        title="Moment of the change",
        description="ISO 8601; empty: the newest deploy mark in the period, else its middle",
        examples=["2026-11-23T12:00:00Z"],
    )
    start: Moment = Field(
        None,
        title="From",
        description="Begin of the period, ISO 8601; empty: 24 hours before the moment, or before the end",
        examples=["2026-11-22T12:00:00Z"],
    )
    end: Moment = Field(
        None,
        title="Until",
        description="End of the period, ISO 8601; empty: 24 hours after the moment, or now",
        examples=["2026-11-24T12:00:00Z"],
    )

    @field_validator("moment", "start")
    @classmethod
    def _has_been(cls, at: datetime | None) -> datetime | None:
        if at and at >= clock.now():
            raise ValueError("must be in the past")
        return at

    @field_validator("end")
    @classmethod
    def _after_the_start(cls, end: datetime | None, info: ValidationInfo) -> datetime | None:
        start, moment = info.data.get("start"), info.data.get("moment")
        if end and start and end <= start:
            raise ValueError("must be after the begin of the period")
        if end and moment and end <= moment:
            raise ValueError("must be after the moment of the change")
        return end

    @field_validator("replacement")
    @classmethod
    def _is_another(cls, replacement: str, info: ValidationInfo) -> str:
        if replacement and replacement == info.data.get("route"):
            raise ValueError("must be another route; leave it empty to compare one route around a moment")
        return replacement


def describe(params: Mapping[str, Any]) -> str:
    """Say which comparison it is, for lists and the name of the file."""
    route, replacement = params.get("route", ""), params.get("replacement", "")
    return f"{TITLE}: {route}" + (f" against {replacement}" if replacement else "")


def admit(_tx: Transaction, _actor: Actor, form: Form) -> Form:
    """Check against what was recorded; fix period and moment, so that a later attempt reports on the same."""
    if form.service and form.service not in (known := performance.services()):
        raise refuse({"service": f"There is no such service. There are: {', '.join(known) or 'none yet'}."})
    moment = form.moment
    if form.replacement:
        _refuse_a_moment(form)
    elif form.deploy:
        moment = _deployed(form)
    start, end = _period(form, moment)
    window = _window(form, start, end)
    _check_routes(form, window)
    if not form.replacement:
        moment = moment or _newest_deploy(window) or clock.from_ms((window.start_ms + window.end_ms) // 2)
        if not start < moment < end:
            period = wording.period(window.start_ms, window.end_ms, form.zone)
            raise refuse({"moment": f"must lie within the period: {period} ({form.zone})"})
    return form.model_copy(update={"start": start, "end": end, "moment": moment})


def _refuse_a_moment(form: Form) -> None:
    text = "goes with one route; leave it empty, or the replacement"
    if given := [name for name in ("deploy", "moment") if getattr(form, name)]:
        raise refuse(dict.fromkeys(given, text))


def _deployed(form: Form) -> datetime:
    """Return when a version was deployed: the newest time, or that of the moment given with it."""
    marks = performance.deploys(Selection(0, clock.now_ms(), service=form.service or None)).to_pylist()
    found: list[datetime] = [mark["at"] for mark in marks if mark["version"] == form.deploy]
    if not found:
        newest = ", ".join(dict.fromkeys(mark["version"] for mark in marks[:-6:-1]))
        raise refuse({"deploy": f"There is no such deploy mark. The newest are: {newest or 'none yet'}."})
    if form.moment and form.moment not in found:
        raise refuse({"moment": "is not when this version was deployed; leave one of the two empty"})
    return form.moment or found[-1]


def _period(form: Form, moment: datetime | None) -> tuple[datetime, datetime]:
    now = clock.now()
    end = form.end or (min(now, moment + _DEFAULT) if moment else now)
    start = form.start or (min(moment, end) if moment else end) - _DEFAULT
    return start, end


def _window(form: Form, start: datetime, end: datetime) -> Selection:
    start_ms, end_ms = clock.to_ms(start), clock.to_ms(end)
    try:
        return performance.between(start_ms, end_ms, kind=form.kind, service=form.service or None)
    except InvalidInput as error:
        raise refuse(dict.fromkeys(error.fields, error.message)) from error


def _check_routes(form: Form, window: Selection) -> None:
    given = {"route": form.route, "replacement": form.replacement}
    unknown = {n: label for n, label in given.items() if label and not performance.narrowed(window, label)}
    if unknown:
        raise refuse({name: performance.hint(window, label) for name, label in unknown.items()})


def _newest_deploy(window: Selection) -> datetime | None:
    marks: list[datetime] = performance.deploys(window).column("at").to_pylist()
    within = [at for at in marks if clock.from_ms(window.start_ms) < at < clock.now()]
    return within[-1] if within else None
