"""API calls: one, up to fifty at once, the limit and the cache."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.responses import JSONResponse, Response

from engine import clock, registry, settings
from engine.errors import NotFound
from engine.queries import calls as reads
from engine.queries import tasks
from engine.services.calls import cache
from engine.services.calls.model import ApiCall
from engine.web import actors
from engine.web.submission import Options, Submission, submit
from engine.words import Actor

router = APIRouter(prefix="/api/calls", tags=["calls"], route_class=Submission)

SignedIn = Annotated[Actor, Depends(actors.signed_in)]

_FIELDS = ("method", "url", "headers", "params", "text", "timeout_s", "retries", "cache_ttl_s", "sealed")


class NewCall(Options):
    """A call of another server."""

    method: str = Field("GET", max_length=10, description="GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")
    url: str = Field(description="http:// or https:// address of a public server")
    headers: dict[str, Any] = Field(default_factory=dict, description="Headers to send")
    params: dict[str, Any] = Field(default_factory=dict, description="Added to the address as a query")
    body_json: Any = Field(None, alias="json", description="A body to send as JSON")
    text: str | None = Field(None, description="A body to send as it is")
    timeout_s: float | None = Field(None, description="Longest time of one try, in seconds, at most 120")
    retries: int | None = Field(None, description="Further tries after the first, at most 9")
    cache_ttl_s: int | None = Field(None, description="Keep the answer so long, and use a kept one")
    sealed: str | None = Field(
        None, description="Secrets of an earlier call of yours, as Offload sealed them"
    )


class NewBulk(Options):
    """Several calls, made in parallel."""

    calls: list[dict[str, Any]] = Field(description="Up to 50 calls, each as for a single one")
    timeout_s: float | None = Field(None, description="Longest time for all, in seconds, at most 120")


@router.post("", status_code=202, summary="Call another server")
async def create(body: NewCall, actor: SignedIn) -> JSONResponse:
    """Answer 202 with the task as soon as it is stored; 429 with the time when the limit opens."""
    payload = {name: getattr(body, name) for name in _FIELDS}
    given = {name: value for name, value in payload.items() if value is not None}
    if body.body_json is not None:
        given["json"] = body.body_json
    return await submit(actor, "api_call", given, body)


@router.post("/bulk", status_code=202, summary="Make up to 50 calls at once")
async def create_bulk(body: NewBulk, actor: SignedIn) -> JSONResponse:
    """Answer 202 with one task and its items; a refused item has its error, the others are made."""
    payload = body.model_dump(include={"calls", "timeout_s"}, exclude_none=True)
    return await submit(
        actor, "call_bulk", payload, body, extend=lambda task_id: {"items": reads.items(task_id)}
    )


@router.get("", summary="List calls")
def listing(actor: SignedIn, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> JSONResponse:
    """Return the latest calls: one's own, or everybody's for ops."""
    return JSONResponse({"items": [_shown(call) for call in reads.history(actor, limit=limit)], "next": None})


@router.get("/limit", summary="How many calls an address may still get")
def limit(actor: SignedIn, url: Annotated[str, Query(max_length=4096)]) -> JSONResponse:
    """Return what the last hour has used of the limit of one's own calls to an address."""
    call = registry.get("api_call").parse({"url": url})
    assert isinstance(call, ApiCall)
    target = call.target
    found = reads.used(actor.name, target, settings.get().calls_per_hour)
    return JSONResponse(
        {
            "target": target,
            "used": found.n_used,
            "limit": found.limit,
            "opens_at": clock.iso(found.opens_at_ms),
        }
    )


@router.get("/cache", summary="What the response cache did")
def cache_use(actor: SignedIn, days: Annotated[int, Query(ge=1, le=365)] = 7) -> JSONResponse:
    """Return hits, misses and what is kept for the asker."""
    return JSONResponse(asdict(reads.cache_use(actor.name, days)))


@router.delete("/cache", status_code=204, summary="Empty the response cache")
def empty_cache(actor: SignedIn) -> Response:
    """Delete the asker's kept answers."""
    cache.forget(actor)
    return Response(status_code=204)


@router.get("/{task_id}/items", summary="The items of a bulk")
def items(task_id: str, actor: SignedIn) -> JSONResponse:
    """Return the items of a bulk call as they stand, without bodies."""
    if tasks.required(actor, task_id).type != "call_bulk":
        raise NotFound("This task is not a bulk of calls.")
    return JSONResponse({"items": reads.items(task_id), "next": None})


def _shown(call: reads.Call) -> dict[str, Any]:
    document = asdict(call)
    document["created_at"] = clock.iso(document.pop("created_at_ms"))
    document["finished_at"] = clock.iso(document.pop("finished_at_ms"))
    return document
