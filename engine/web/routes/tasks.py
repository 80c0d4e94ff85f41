"""Hand over, list and repeat tasks of any type."""

from dataclasses import asdict
from datetime import UTC
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from engine import clock, lifecycle
from engine.errors import Conflict, Gone, InvalidInput
from engine.queries import files
from engine.queries import tasks as reads
from engine.services import results, waiting
from engine.web import actors, documents
from engine.web.ranges import RangedFile
from engine.web.submission import Options, Submission, sent_as, submit
from engine.words import Actor, TaskState

router = APIRouter(prefix="/api/tasks", tags=["tasks"], route_class=Submission)

SignedIn = Annotated[Actor, Depends(actors.signed_in)]


class NewTask(Options):
    """A task of any type that may be submitted."""

    type: str = Field(max_length=64, description="Which task type, for example `report`.")
    payload: dict[str, Any] = Field(default_factory=dict, description="What the type takes.")


class Again(BaseModel):
    """How to run an ended task again."""

    model_config = ConfigDict(extra="forbid")

    payload: dict[str, Any] | None = Field(
        None, description="An edited payload: makes a new task that names this one as its parent."
    )


@router.post("", status_code=202, summary="Hand a task over", responses=documents.HANDED_OVER)
async def create(body: NewTask, actor: SignedIn) -> JSONResponse:
    """Answer 202 with the task as soon as it is stored for good; nothing is done within the request."""
    return await submit(actor, body.type, body.payload, body, prefix="payload.")


@router.get("", summary="List tasks", responses={200: {"model": documents.TaskList}})
def listing(
    actor: SignedIn,
    type: Annotated[str | None, Query(max_length=64)] = None,
    state: Annotated[list[TaskState], Query()] = [],  # noqa: B006 - FastAPI copies it
    owner: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=reads.MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> JSONResponse:
    """Return tasks, newest first: one's own, or everybody's for ops. `next` is the next page's cursor."""
    page = reads.page(actor, type_name=type, states=state, owner=owner, limit=limit, cursor=cursor)
    return JSONResponse({"items": [task.document() for task in page.items], "next": page.next})


@router.post(
    "/{task_id}/retry",
    status_code=202,
    summary="Run a task again",
    responses={202: {"model": documents.Task}},
)
def retry(task_id: str, actor: SignedIn, body: Again | None = None) -> JSONResponse:
    """Run a failed, cancelled or expired task again under its id; 409 for any other."""
    try:
        submitted = lifecycle.retry(actor, task_id, body.payload if body else None)
    except InvalidInput as error:
        error.fields = {sent_as(path, "payload."): message for path, message in error.fields.items()}
        raise
    return JSONResponse(submitted.task.document(), 202)


@router.get("/{task_id}", summary="One task with its history")
def show(task_id: str, actor: SignedIn) -> JSONResponse:
    """Return the task with what it waits for, if it waits, and everything that happened to it."""
    task = reads.required(actor, task_id)
    reason = waiting.why(task, UTC)
    timeline = [
        {"at": clock.iso(m.at_ms), "what": m.what, "who": m.who, "why": m.why}
        for m in reads.timeline(task_id)
    ]
    return JSONResponse(
        {**task.document(), "waiting": asdict(reason) if reason else None, "timeline": timeline}
    )


@router.get("/{task_id}/result", summary="What a task returned")
def result(task_id: str, actor: SignedIn) -> Response:
    """Return the result itself; 409 `not_ready` until the task has succeeded."""
    task = reads.required(actor, task_id)
    if task.state is not TaskState.SUCCEEDED:
        raise Conflict(f"The task is {task.state}; there is no result.", code="not_ready")
    large = files.artifact_of(task_id, results.KIND)
    if large is None:
        return JSONResponse(task.document()["result"])
    path = results.path_of(large.id)
    if not path.is_file():
        raise Gone("The result has been removed, its time is over. Run the task again.")
    return RangedFile(path, media_type=large.content_type)
