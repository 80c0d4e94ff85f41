"""Watch and stop tasks: status, bulk status, cancel; and the state of the installation.

What is asked most often is read on the event loop, as the guard does (one indexed read, about 30 us): the
threads may all be waiting to write while another program holds the database, and whoever asks then whether
Offload is well must hear so.
"""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from engine import __version__, clock, lifecycle
from engine.errors import Conflict
from engine.queries import tasks as reads
from engine.queries import workers
from engine.records import db
from engine.records.tasks import Task
from engine.web import actors, documents
from engine.web.guard import Credential
from engine.web.stream import Listener, watching
from engine.words import Actor, Role

router = APIRouter(prefix="/async-monitoring", tags=["monitoring"])

BULK_IDS = 100
HEARTBEAT_S = 15
SEND_S = 30
"""A listener that takes nothing for this long is dropped."""
OPERATORS = Depends(actors.at_least(Role.OPS))

SignedIn = Annotated[Actor, Depends(actors.signed_in)]


class BulkStatus(BaseModel):
    """Which tasks to look at."""

    model_config = ConfigDict(extra="forbid")

    task_ids: list[Annotated[str, Field(max_length=64)]] = Field(
        min_length=1, max_length=BULK_IDS, validation_alias=AliasChoices("task_ids", "ids")
    )


@router.get("/tasks/{task_id}/status/", summary="One task", responses={200: {"model": documents.Task}})
async def status(task_id: str, actor: SignedIn) -> JSONResponse:
    """Return the task; 404 if there is none or it is not yours."""
    return JSONResponse(reads.required(actor, task_id).document())


@router.post("/tasks/bulk-status/", summary="Up to 100 tasks", responses={200: {"model": documents.Several}})
def bulk_status(body: BulkStatus, actor: SignedIn) -> JSONResponse:
    """Return the tasks in the order asked for, without those that are not yours, which are in `missing`."""
    found = reads.several(actor, body.task_ids)
    items = [found[i].document() for i in body.task_ids if i in found]
    missing = [i for i in body.task_ids if i not in found]
    return JSONResponse({"items": items, "next": None, "missing": missing})


@router.post("/tasks/{task_id}/cancel/", summary="Stop a task", responses=documents.STOPPED)
def cancel(task_id: str, actor: SignedIn) -> JSONResponse:
    """Cancel at once what waits (200), ask what runs to stop (202); 409 for what has ended."""
    done = lifecycle.cancel(actor, task_id)
    if done.outcome == "ended":
        raise Conflict(f"The task has ended: it is {done.task.state}.", code="already_ended")
    return JSONResponse(done.task.document(), 202 if done.outcome == "requested" else 200)


@router.get("/tasks/{task_id}/stream/", summary="Changes of a task as they happen")
async def stream(task_id: str, request: Request, actor: SignedIn) -> Response:
    """Send the task as a Server-Sent Event named `task`, now and whenever it changes, until it has ended.

    A client that reconnects to a task whose end it has seen gets 204, which tells it to stop.
    """
    task = reads.required(actor, task_id)
    if task.state.ended and request.headers.get("last-event-id") == _event_id(task):
        return Response(status_code=204)
    credential = request.state.credential
    return EventSourceResponse(_events(task_id, actor, credential), ping=HEARTBEAT_S, send_timeout=SEND_S)


@router.get("/admin/monitoring/", summary="Queue and workers", dependencies=[OPERATORS])
def monitoring() -> JSONResponse:
    """Return the number of tasks by state, the workers and what is paused. For ops."""
    return JSONResponse(_installation())


@router.get("/health/", summary="Does it work?")
async def health(actor: Annotated[Actor | None, Depends(actors.anybody)]) -> JSONResponse:
    """Answer `{"status": "ok"}`, or 503; with a session of ops, also the figures behind it."""
    document: dict[str, Any] = {"status": "ok"}
    try:
        if actor is not None and actor.role.includes(Role.OPS):
            document |= await run_in_threadpool(_installation)
        db.main().probe()
    except db.Damaged as error:
        document = {"status": "failing"}
        if isinstance(error, db.Gone):
            document["reason"] = error.message
    return JSONResponse(document, 200 if document["status"] == "ok" else 503, {"Cache-Control": "no-store"})


async def _events(task_id: str, actor: Actor, credential: Credential) -> AsyncIterator[dict[str, str]]:
    with watching(task_id) as listener:
        task = reads.visible(actor, task_id)
        if task is not None:
            listener.seen(task)
        while task is not None:
            yield {"event": "task", "id": _event_id(task), "data": json.dumps(task.document())}
            if task.state.ended:
                return
            task = await _next(listener, actor, credential)


async def _next(listener: Listener, actor: Actor, credential: Credential) -> Task | None:
    """Wait for a change; None once the session or token has ended or its role is another."""
    while credential.actor() == actor:
        task = await listener.next(HEARTBEAT_S)
        if task is not None:
            return task if credential.actor() == actor else None
    return None


def _event_id(task: Task) -> str:
    return f"{task.attempt}-{task.progress}-{task.state}"


def _installation() -> dict[str, Any]:
    found = workers.listing()
    counts = reads.counts()
    return {
        "version": __version__,
        "at": clock.iso(clock.now_ms()),
        "tasks": {state.value: n for state, n in counts.items()},
        "n_workers_alive": sum(worker.alive for worker in found),
        "workers": [worker.document() for worker in found],
        "pauses": [_pause(row) for row in workers.pauses()],
    }


def _pause(row: dict[str, Any]) -> dict[str, Any]:
    paused_at = clock.iso(row.pop("paused_at_ms"))
    return {**row, "paused_at": paused_at}
