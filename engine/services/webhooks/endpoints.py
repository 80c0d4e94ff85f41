"""What people do with endpoints and deliveries: make, change, rotate, test, replay."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from engine import clock, lifecycle, registry, settings
from engine.errors import Conflict, Forbidden, InvalidInput, NotFound
from engine.lib import addresses, http, signing
from engine.lifecycle import hooks
from engine.records import audit, db, webhooks
from engine.records.db import Reader, Transaction
from engine.records.webhooks import Endpoint
from engine.words import Actor, Role

_MOST = 50
"""Endpoints of one person."""
_REPLAYED_AT_ONCE = 500
PATTERNS = ("*", "task.*", "schedule.*", "alert.*", *lifecycle.EVENTS)


class NewEndpoint(BaseModel):
    """The fields of an endpoint that people choose."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    url: str = Field(max_length=2_000, description="Where events are sent, by POST")
    events: list[str] = Field(
        default_factory=lambda: ["task.*"], min_length=1, max_length=20, description="Events or `task.*`, `*`"
    )
    description: str = Field("", max_length=300, description="For people")
    active: bool = Field(True, description="Whether events are sent")

    @field_validator("url")
    @classmethod
    def _allowed(cls, value: str) -> str:
        if not addresses.check_url(value).allowed:
            raise ValueError("address not allowed")
        return value

    @field_validator("events")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        if unknown := sorted(set(value) - set(PATTERNS)):
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(PATTERNS)}")
        return list(dict.fromkeys(value))


@dataclass(frozen=True)
class Made:
    """An endpoint with the secret that is shown now and never again."""

    endpoint: Endpoint
    secret: str

    def document(self) -> dict[str, Any]:
        """Return the JSON shape, secret included."""
        return {**document(self.endpoint, self.endpoint.owner), "secret": self.secret}


def document(endpoint: Endpoint, reader: str) -> dict[str, Any]:
    """Return the JSON shape of an endpoint; its URL may hold a secret, so only the owner sees all of it."""
    return {
        "endpoint_id": endpoint.id,
        "url": endpoint.url if reader == endpoint.owner else http.mask_url(endpoint.url),
        "description": endpoint.description,
        "events": endpoint.patterns,
        "active": bool(endpoint.active),
        "owner": endpoint.owner,
        "created_at": clock.iso(endpoint.created_at_ms),
        "changed_at": clock.iso(endpoint.changed_at_ms),
        "disabled_at": clock.iso(endpoint.disabled_at_ms),
        "disabled_reason": endpoint.disabled_reason,
        "failed_in_a_row": endpoint.exhausted_in_a_row,
        "previous_secret_until": clock.iso(_still(endpoint.previous_until_ms)),
    }


def create(actor: Actor, given: Mapping[str, Any], *, secret: str | None = None) -> Made:
    """Store an endpoint; raise InvalidInput by field, Forbidden, or Conflict when there are too many."""
    _staff(actor)
    values = _checked(given)
    secret = signing.check_secret(secret) if secret else signing.new_secret()
    endpoint_id, now_ms = secrets.token_hex(12), clock.now_ms()
    with db.main().write() as tx:
        if webhooks.n_endpoints(tx, actor.name) >= _MOST:
            raise Conflict(f"You have {_MOST} endpoints; remove one first.", code="too_many")
        row = {
            **_columns(values),
            "id": endpoint_id,
            "owner": actor.name,
            "secret": hooks.sealer().seal(secret, endpoint_id),
            "created_at_ms": now_ms,
            "changed_at_ms": now_ms,
        }
        webhooks.add_endpoint(tx, row)
        audit.add(tx, actor, "webhook.create", endpoint_id, {"events": values.events})
        return Made(_required(tx, actor, endpoint_id), secret)


def change(actor: Actor, endpoint_id: str, given: Mapping[str, Any]) -> Endpoint:
    """Change fields of an endpoint; switching it on again forgets why it was off."""
    _staff(actor)
    with db.main().write() as tx:
        before = _required(tx, actor, endpoint_id)
        now = {name: getattr(before, name) for name in ("url", "description")}
        values = _checked({**now, "events": before.patterns, "active": bool(before.active), **given})
        columns = {**_columns(values), "changed_at_ms": clock.now_ms()}
        if values.active and not before.active:
            columns.update(disabled_at_ms=None, disabled_reason="", exhausted_in_a_row=0)
        elif before.active and not values.active:
            columns.update(disabled_at_ms=clock.now_ms(), disabled_reason=f"switched off by {actor.name}")
        webhooks.change_endpoint(tx, endpoint_id, columns)
        audit.add(tx, actor, "webhook.change", endpoint_id, {"fields": sorted(given)})
        return _required(tx, actor, endpoint_id)


def remove(actor: Actor, endpoint_id: str) -> None:
    """Remove an endpoint; what is on its way is dropped, its log stays until its time is over."""
    _staff(actor)
    with db.main().write() as tx:
        _required(tx, actor, endpoint_id)
        webhooks.change_endpoint(tx, endpoint_id, {"removed_at_ms": clock.now_ms(), "active": 0})
        audit.add(tx, actor, "webhook.remove", endpoint_id)


def rotate(
    actor: Actor, endpoint_id: str, *, leaked: bool = False, force: bool = False, secret: str | None = None
) -> Made:
    """Give an endpoint a new secret; both sign for 24 h, so that the receiver can follow without a gap.

    A leaked secret ends at once. Raises Conflict while an earlier rotation is under way, unless `force`: a
    third secret would push out one the receiver may still use.
    """
    _staff(actor)
    secret = signing.check_secret(secret) if secret else signing.new_secret()
    now_ms = clock.now_ms()
    with db.main().write() as tx:
        before = _required(tx, actor, endpoint_id)
        if _still(before.previous_until_ms) and not (force or leaked):
            until = clock.iso(before.previous_until_ms)
            raise Conflict(f"The previous secret still signs until {until}.", code="rotating")
        keep_ms = 0 if leaked else int(settings.get().webhook_rotation_h * 3_600_000)
        columns = {
            "secret": hooks.sealer().seal(secret, endpoint_id),
            "previous_secret": before.secret if keep_ms else None,
            "previous_until_ms": now_ms + keep_ms if keep_ms else None,
            "changed_at_ms": now_ms,
        }
        webhooks.change_endpoint(tx, endpoint_id, columns)
        audit.add(tx, actor, "webhook.rotate", endpoint_id, {"leaked": leaked})
        return Made(_required(tx, actor, endpoint_id), secret)


def send_test(actor: Actor, endpoint_id: str) -> str:
    """Send a test event to an endpoint, on or off; return the id of the delivery."""
    _staff(actor)
    with db.main().write() as tx:
        delivery_id = lifecycle.emit_test(tx, _required(tx, actor, endpoint_id))
        audit.add(tx, actor, "webhook.test", endpoint_id)
        return delivery_id


def replay(actor: Actor, delivery_id: str) -> str:
    """Deliver an ended delivery again, with the same message id; return the id of the task that does it."""
    _staff(actor)
    with db.main().write() as tx:
        row = webhooks.delivery(tx, delivery_id)
        if row is None or not actor.may_see(row["owner"]):
            raise NotFound("There is no such delivery, or it is not yours.")
        if webhooks.is_under_way(tx, delivery_id, lifecycle.DELIVERY_TYPE):
            raise Conflict("This delivery has not ended.", code="not_ended")
        webhooks.begin_again(tx, delivery_id, clock.now_ms())
        audit.add(tx, actor, "webhook.replay", delivery_id)
        return lifecycle.deliver(tx, delivery_id)


def replay_failed(
    actor: Actor,
    *,
    since_ms: int,
    endpoint_id: str | None = None,
    owner: str | None = None,
    everybody: bool = False,
) -> list[str]:
    """Deliver again what failed since a time: of an endpoint, an owner or everybody, else the actor's own.

    Return the ids; at most 500 in one call, the oldest first. What is others' is for ops. An endpoint that
    is not there is NotFound, so that a wrong id does not look like nothing to repeat.
    """
    _staff(actor)
    if not actor.may_see(owner or actor.name) or (everybody and not actor.role.includes(Role.OPS)):
        raise Forbidden("Deliveries of others are for the role ops.")
    whose = owner or (None if everybody or endpoint_id else actor.name)
    with db.main().write() as tx:
        if endpoint_id is not None:
            _required(tx, actor, endpoint_id)
        found = webhooks.ended_badly(tx, whose, since_ms, endpoint_id, _REPLAYED_AT_ONCE)
        ids = [i for i in found if not webhooks.is_under_way(tx, i, lifecycle.DELIVERY_TYPE)]
        for delivery_id in ids:
            webhooks.begin_again(tx, delivery_id, clock.now_ms())
            lifecycle.deliver(tx, delivery_id)
        audit.add(tx, actor, "webhook.replay_failed", endpoint_id or "*", {"n_deliveries": len(ids)})
    return ids


def _checked(given: Mapping[str, Any]) -> NewEndpoint:
    try:
        return NewEndpoint.model_validate(dict(given))
    except ValidationError as error:
        raise InvalidInput("The endpoint is not valid.", fields=registry.field_messages(error)) from error


def _columns(values: NewEndpoint) -> dict[str, Any]:
    return {
        "url": values.url,
        "events": json.dumps(values.events),
        "description": values.description,
        "active": int(values.active),
    }


def _required(reader: Reader | Transaction, actor: Actor, endpoint_id: str) -> Endpoint:
    found = webhooks.endpoint(reader, endpoint_id)
    if found is None or not actor.may_see(found.owner):
        raise NotFound("There is no such endpoint, or it is not yours.")
    return found


def _still(until_ms: int | None) -> int | None:
    return until_ms if until_ms is not None and until_ms > clock.now_ms() else None


def _staff(actor: Actor) -> None:
    if not actor.role.includes(Role.STAFF):
        raise Forbidden("Your role may look, not act.")
