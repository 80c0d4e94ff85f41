"""Webhook endpoints and the delivery log."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from engine import clock
from engine.lib.moment import Moment
from engine.queries import webhooks as reads
from engine.services import webhooks
from engine.services.webhooks.endpoints import NewEndpoint, document
from engine.web import actors
from engine.words import Actor

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"])

SignedIn = Annotated[Actor, Depends(actors.signed_in)]


class WithSecret(NewEndpoint):
    """An endpoint to be made."""

    secret: str | None = Field(None, max_length=200, description="`whsec_...`; made here if left out")


class Change(BaseModel):
    """Fields of an endpoint to change; those left out stay."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(None, max_length=2000)
    events: list[str] | None = None
    description: str | None = None
    active: bool | None = None


class Rotation(BaseModel):
    """How to change a secret."""

    model_config = ConfigDict(extra="forbid")

    leaked: bool = Field(False, description="The old secret ends at once instead of after 24 h")
    force: bool = Field(False, description="Also while an earlier rotation is under way")
    secret: str | None = Field(None, max_length=200, description="`whsec_...`; made here if left out")


class Replay(BaseModel):
    """Which failed deliveries to repeat."""

    model_config = ConfigDict(extra="forbid")

    since: Moment = Field(description="Those made at or after this time")
    endpoint_id: str | None = Field(None, max_length=40, description="Only those of one endpoint")


@router.get("/endpoints", summary="List endpoints")
def listing(actor: SignedIn) -> JSONResponse:
    """Return one's own endpoints, or everybody's for ops."""
    found = reads.endpoints(actor)
    return JSONResponse({"items": [document(endpoint, actor.name) for endpoint in found], "next": None})


@router.post("/endpoints", status_code=201, summary="Add an endpoint")
def create(body: WithSecret, actor: SignedIn) -> JSONResponse:
    """Answer 201 with the endpoint and its secret, which is shown here and never again."""
    made = webhooks.create(actor, body.model_dump(exclude={"secret"}), secret=body.secret)
    return JSONResponse(made.document(), 201)


@router.get("/endpoints/{endpoint_id}", summary="One endpoint")
def show(endpoint_id: str, actor: SignedIn) -> JSONResponse:
    """Return an endpoint, without its secret."""
    return JSONResponse(document(reads.required(actor, endpoint_id), actor.name))


@router.patch("/endpoints/{endpoint_id}", summary="Change an endpoint")
def change(endpoint_id: str, body: Change, actor: SignedIn) -> JSONResponse:
    """Change fields; `active: true` also lifts what switched it off."""
    changed = webhooks.change(actor, endpoint_id, body.model_dump(exclude_unset=True))
    return JSONResponse(document(changed, actor.name))


@router.delete("/endpoints/{endpoint_id}", status_code=204, summary="Remove an endpoint")
def remove(endpoint_id: str, actor: SignedIn) -> Response:
    """Remove an endpoint; what waits for it is dropped."""
    webhooks.remove(actor, endpoint_id)
    return Response(status_code=204)


@router.post("/endpoints/{endpoint_id}/rotate", summary="Change the secret")
def rotate(endpoint_id: str, actor: SignedIn, body: Rotation | None = None) -> JSONResponse:
    """Return the new secret, once; the old one signs beside it for 24 h."""
    how = body or Rotation()
    made = webhooks.rotate(actor, endpoint_id, leaked=how.leaked, force=how.force, secret=how.secret)
    return JSONResponse(made.document())


@router.post("/endpoints/{endpoint_id}/test", status_code=202, summary="Send a test event")
def test(endpoint_id: str, actor: SignedIn) -> JSONResponse:
    """Send `webhook.test` to the endpoint, whatever it listens to."""
    return JSONResponse(reads.delivery(actor, webhooks.send_test(actor, endpoint_id)), 202)


@router.get("/deliveries", summary="The delivery log")
def deliveries(
    actor: SignedIn,
    endpoint_id: Annotated[str | None, Query(max_length=40)] = None,
    task_id: Annotated[str | None, Query(max_length=64)] = None,
    state: Literal["waiting", "delivered", "failed", "dropped"] | None = None,
    limit: Annotated[int, Query(ge=1, le=reads.MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=30)] = None,
) -> JSONResponse:
    """Return deliveries, newest first: one's own, or everybody's for ops."""
    page = reads.deliveries(
        actor, endpoint_id=endpoint_id, task_id=task_id, state=state, limit=limit, cursor=cursor
    )
    return JSONResponse({"items": page.items, "next": page.next})


@router.get("/deliveries/{delivery_id}", summary="One delivery with its attempts")
def delivery(delivery_id: str, actor: SignedIn) -> JSONResponse:
    """Return a delivery, the bytes that are sent, and every attempt; answers are for the owner alone."""
    return JSONResponse(reads.delivery(actor, delivery_id))


@router.post("/deliveries/replay", status_code=202, summary="Repeat what failed")
def replay_failed(body: Replay, actor: SignedIn) -> JSONResponse:
    """Deliver again all of one's own deliveries that failed since a time, with the same message ids."""
    ids = webhooks.replay_failed(actor, since_ms=clock.to_ms(body.since), endpoint_id=body.endpoint_id)
    return JSONResponse({"n_deliveries": len(ids), "delivery_ids": ids}, 202)


@router.post("/deliveries/{delivery_id}/replay", status_code=202, summary="Repeat one delivery")
def replay(delivery_id: str, actor: SignedIn) -> JSONResponse:
    """Deliver an ended delivery again, with the same message id; 409 while it has not ended."""
    webhooks.replay(actor, delivery_id)
    found: dict[str, Any] = reads.delivery(actor, delivery_id)
    return JSONResponse(found, 202)
