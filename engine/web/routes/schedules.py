"""Make, change, pause and remove schedules; compare expected with actual; forecast the load."""

from typing import Annotated, Any, Literal

import anyio
from fastapi import APIRouter, Body, Depends, Query, Request
from starlette.responses import JSONResponse

from engine import clock
from engine.errors import NotFound
from engine.queries import schedules as reads
from engine.records.schedules import Schedule
from engine.services import schedules
from engine.services.schedules.forecast import forecast as load_forecast
from engine.web import actors
from engine.words import Actor

router = APIRouter(prefix="/api/schedules", tags=["schedules"])

SignedIn = Annotated[Actor, Depends(actors.signed_in)]
Fields = Annotated[dict[str, Any], Body()]

_HOUR_MS = 3_600_000
_DRAFT = schedules.Draft.model_json_schema()
_ROWS = {"type": "object", "properties": {"schedules": {"type": "array", "items": _DRAFT}}}


def _takes(schema: dict[str, Any], *, csv: bool = False) -> dict[str, Any]:
    """Describe a body that the service checks, so that all wrong fields are told at once."""
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    return {"requestBody": {"required": True, "content": content}}


@router.get("", summary="List schedules")
def listing(
    actor: SignedIn,
    search: Annotated[str, Query(max_length=100)] = "",
    enabled: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=reads.MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> JSONResponse:
    """Return schedules by name: one's own, or everybody's for ops."""
    page = reads.page(actor, search=search, enabled=enabled, limit=limit, cursor=cursor)
    return JSONResponse({"items": [item.document() for item in page.items], "next": page.next})


@router.post("", status_code=201, summary="Make a schedule", openapi_extra=_takes(_DRAFT))
def create(body: Fields, actor: SignedIn) -> JSONResponse:
    """Store a schedule; its payload is checked now, as the task type would at its first run."""
    return JSONResponse(schedules.create(actor, body).document(), 201)


@router.post(
    "/batch", status_code=201, summary="Make up to 500 schedules", openapi_extra=_takes(_ROWS, csv=True)
)
async def batch(request: Request, actor: SignedIn) -> JSONResponse:
    """Store all rows or none; a wrong one is told as `schedules.<index>.<column>`. JSON or CSV."""
    return await anyio.to_thread.run_sync(_store_batch, actor, await request.body())


@router.get("/stats", summary="Expected against actual")
def stats(
    actor: SignedIn,
    hours: Annotated[int, Query(ge=1, le=24 * 366)] = 24 * 7,
    schedule_id: Annotated[str | None, Query(max_length=64)] = None,
) -> JSONResponse:
    """Return, for each schedule, what was expected since then, what came of it, and how long it took."""
    since_ms = clock.now_ms() - hours * _HOUR_MS
    found = reads.stats(actor, since_ms, schedule_id)
    return JSONResponse(
        {"since": clock.iso(since_ms), "items": [one.document() for one in found], "next": None}
    )


@router.get("/forecast", summary="Load of the next seven days")
def forecast(actor: SignedIn) -> JSONResponse:
    """Return tasks by the hour, the busiest minutes, and when all workers would be busy."""
    return JSONResponse(load_forecast(actor).document())


@router.get("/{schedule_id}", summary="One schedule")
def show(schedule_id: str, actor: SignedIn) -> JSONResponse:
    """Return the schedule with the history of its changes."""
    schedule = _visible(actor, schedule_id)
    return JSONResponse({**schedule.document(), "history": reads.history(schedule.id)})


@router.patch("/{schedule_id}", summary="Change a schedule", openapi_extra=_takes(_DRAFT))
def change(schedule_id: str, body: Fields, actor: SignedIn) -> JSONResponse:
    """Change the given fields; new times are planned from now on, and the history keeps what they were."""
    return JSONResponse(schedules.change(actor, schedule_id, body).document())


@router.delete("/{schedule_id}", summary="Remove a schedule")
def remove(schedule_id: str, actor: SignedIn, waiting: Literal["keep", "cancel"] = "keep") -> JSONResponse:
    """Remove it; `waiting` says what becomes of its tasks that have not begun."""
    done = schedules.remove(actor, schedule_id, waiting=waiting)
    return JSONResponse({"n_cancelled": done.n_cancelled, "n_kept": done.n_kept})


@router.post("/{schedule_id}/pause", summary="Pause a schedule")
def pause(schedule_id: str, actor: SignedIn) -> JSONResponse:
    """Let nothing become due; what is enqueued already stays."""
    return JSONResponse(schedules.pause(actor, schedule_id).document())


@router.post("/{schedule_id}/resume", summary="Resume a schedule")
def resume(schedule_id: str, actor: SignedIn) -> JSONResponse:
    """Plan from now on; nothing is made up for the pause."""
    return JSONResponse(schedules.resume(actor, schedule_id).document())


@router.post("/{schedule_id}/run", status_code=202, summary="Run a schedule now")
def run_now(schedule_id: str, actor: SignedIn) -> JSONResponse:
    """Submit its task at once and answer with it; the plan does not move."""
    return JSONResponse(schedules.run_now(actor, schedule_id).document(), 202)


@router.get("/{schedule_id}/occurrences", summary="What came of each due time")
def occurrences(
    schedule_id: str,
    actor: SignedIn,
    limit: Annotated[int, Query(ge=1, le=reads.MAX_PAGE)] = 50,
    cursor: Annotated[int | None, Query(ge=0, le=2**62)] = None,
) -> JSONResponse:
    """Return the occurrences, newest first: on time, late, caught up, failed, skipped or overlapped."""
    found = reads.occurrences(_visible(actor, schedule_id).id, limit=limit, before_ms=cursor)
    following = str(found[-1].due_at_ms) if len(found) == limit else None
    return JSONResponse({"items": [one.document() for one in found], "next": following})


def _store_batch(actor: Actor, data: bytes) -> JSONResponse:
    added = schedules.create_many(actor, schedules.read_rows(data))
    return JSONResponse({"items": [one.document() for one in added], "next": None}, 201)


def _visible(actor: Actor, schedule_id: str) -> Schedule:
    schedule = reads.visible(actor, schedule_id)
    if schedule is None:
        raise NotFound("There is no such schedule, or it is not yours.")
    return schedule
