"""Operate the queue: pause, resume, purge, clean up. For ops."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from engine import lifecycle
from engine.queries import workers
from engine.services import retention
from engine.web import actors
from engine.words import Actor, Role

router = APIRouter(prefix="/async-monitoring/admin", tags=["operations"])

Operator = Annotated[Actor, Depends(actors.at_least(Role.OPS))]


class CleanUp(BaseModel):
    """How to clean up."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(False, description="Only count what would be removed.")


class Scope(BaseModel):
    """What to pause, resume or purge."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field("*", max_length=64, description="A task type, or `*` for the whole queue.")
    note: str = Field("", max_length=200, description="Why; shown to everybody who waits.")


@router.post("/cleanup/", status_code=202, summary="Remove what is past its keep")
def cleanup(operator: Operator, body: CleanUp | None = None) -> JSONResponse:
    """Hand the clean-up to a worker; the task's result says what was freed."""
    task = retention.request(operator, dry_run=body.dry_run if body else False)
    return JSONResponse(task.document(), 202)


@router.post("/queue/pause/", summary="Start no more tasks")
def pause(operator: Operator, body: Scope | None = None) -> JSONResponse:
    """Pause a type or the queue; running work goes on."""
    scope = body or Scope()
    return _paused(lifecycle.pause(operator, scope.type, scope.note))


@router.post("/queue/resume/", summary="Start tasks again")
def resume(operator: Operator, body: Scope | None = None) -> JSONResponse:
    """Lift a pause."""
    return _paused(lifecycle.resume(operator, (body or Scope()).type))


@router.post("/queue/purge/", summary="Cancel what waits")
def purge(operator: Operator, body: Scope | None = None) -> JSONResponse:
    """Cancel all waiting tasks, or those of one type; nothing is deleted."""
    scope = (body or Scope()).type
    return JSONResponse({"n_cancelled": lifecycle.purge(operator, None if scope == "*" else scope)})


def _paused(changed: bool) -> JSONResponse:
    return JSONResponse({"changed": changed, "paused": [pause["scope"] for pause in workers.pauses()]})
