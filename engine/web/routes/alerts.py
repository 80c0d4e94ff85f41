"""Alerts: what needs attention, the rules that watch, and what people do about both."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from engine import clock
from engine.errors import NotFound
from engine.lib.moment import Moment
from engine.queries import alerts as reads
from engine.records.alerts import Rule
from engine.services import alerts
from engine.web import actors, documents
from engine.words import Actor, Role

router = APIRouter(prefix="/api/alerts", tags=["alerts"])

Viewer = Annotated[Actor, Depends(actors.at_least(Role.VIEWER))]
Staff = Annotated[Actor, Depends(actors.at_least(Role.STAFF))]
Operator = Annotated[Actor, Depends(actors.at_least(Role.OPS))]
RuleId = Annotated[str, Path(max_length=64, description="Small letters, digits, `-` and `_`")]
AlertId = Annotated[int, Path(ge=1, le=2**53)]

ALERT: dict[int | str, dict[str, Any]] = {200: {"model": documents.Alert}}
RULE: dict[int | str, dict[str, Any]] = {200: {"model": documents.AlertRule}}


class Note(BaseModel):
    """What is known about an alert."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field("", max_length=2_000)


class Mute(BaseModel):
    """How long nobody is told."""

    model_config = ConfigDict(extra="forbid")

    until: Moment = Field(description="Within a year from now")


@router.get("", summary="List alerts", responses={200: {"model": documents.AlertList}})
def listing(
    _viewer: Viewer,
    state: Literal["open", "history"] = "open",
    rule_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=reads.MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=30)] = None,
) -> JSONResponse:
    """Return the open alerts, or with `state=history` all that are kept; newest first."""
    page = reads.page(only_open=state == "open", rule_id=rule_id, limit=limit, cursor=cursor)
    return JSONResponse({"items": [alert.document() for alert in page.items], "next": page.next})


@router.get("/measures", summary="What a rule can look at", responses={200: {"model": documents.MeasureList}})
def measures(_viewer: Viewer) -> JSONResponse:
    """Return the measures with their unit, and on which side of a threshold a value is bad."""
    items = [
        {
            "measure": name,
            "title": found.title,
            "unit": found.unit,
            "bad": "below" if found.below else "above",
        }
        for name, found in alerts.MEASURES.items()
    ]
    return JSONResponse({"items": items, "next": None})


@router.get("/rules", summary="List rules", responses={200: {"model": documents.AlertRuleList}})
def rules(_viewer: Viewer) -> JSONResponse:
    """Return all rules with where they stand, those with an open alert first."""
    return JSONResponse({"items": [found.document() for found in reads.standings()], "next": None})


@router.get("/rules/{rule_id}", summary="One rule", responses=RULE)
def rule(_viewer: Viewer, rule_id: RuleId) -> JSONResponse:
    """Return a rule with its last value, how many results in a row were bad or good, and its mute."""
    return _rule(rule_id)


@router.put(
    "/rules/{rule_id}",
    summary="Make or change a rule",
    responses={**RULE, 201: {"model": documents.AlertRule, "description": "It is new"}},
)
def save(operator: Operator, rule_id: RuleId, body: alerts.RuleFields) -> JSONResponse:
    """Store all fields of a rule, those left out with their default; 201 if it is new."""
    is_new = alerts.save(operator, Rule(rule_id, **body.model_dump()))
    return _rule(rule_id, 201 if is_new else 200)


@router.delete("/rules/{rule_id}", status_code=204, summary="Remove a rule")
def remove(operator: Operator, rule_id: RuleId) -> Response:
    """Remove a rule and close its alert; the history stays."""
    alerts.remove(operator, rule_id)
    return Response(status_code=204)


@router.post("/rules/{rule_id}/mute", summary="Mute a rule", responses=RULE)
def mute(operator: Operator, rule_id: RuleId, body: Mute) -> JSONResponse:
    """Tell nobody of alerts that open until then."""
    alerts.mute(operator, rule_id, clock.to_ms(body.until))
    return _rule(rule_id)


@router.post("/rules/{rule_id}/unmute", summary="End a mute", responses=RULE)
def unmute(operator: Operator, rule_id: RuleId) -> JSONResponse:
    """Tell people again, of alerts that open from now on."""
    alerts.mute(operator, rule_id, None)
    return _rule(rule_id)


@router.get("/{alert_id}", summary="One alert", responses=ALERT)
def show(_viewer: Viewer, alert_id: AlertId) -> JSONResponse:
    """Return an alert, open or in the history."""
    return _alert(alert_id)


@router.post("/{alert_id}/acknowledge", summary="Look after an alert", responses=ALERT)
def acknowledge(staff: Staff, alert_id: AlertId, body: Note | None = None) -> JSONResponse:
    """Say that one looks after it, with a note; 409 `already_acknowledged` if somebody does."""
    alerts.acknowledge(staff, alert_id, body.note if body else "")
    return _alert(alert_id)


def _alert(alert_id: int) -> JSONResponse:
    found = reads.one(alert_id)
    if found is None:
        raise NotFound("There is no such alert.")
    return JSONResponse(found.document())


def _rule(rule_id: str, status: int = 200) -> JSONResponse:
    found = reads.standing(rule_id)
    if found is None:
        raise NotFound("There is no such rule.")
    return JSONResponse(found.document(), status)
