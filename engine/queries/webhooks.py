"""Reads about webhooks: endpoints, the delivery log, one delivery with its attempts."""

from dataclasses import dataclass
from typing import Any

from engine import clock
from engine.errors import InvalidInput, NotFound
from engine.lib import http
from engine.records import db
from engine.records.db import Row
from engine.records.webhooks import Endpoint
from engine.words import Actor, Role

STATES = ("waiting", "delivered", "failed", "dropped")
MAX_PAGE = 500


@dataclass(frozen=True)
class Page:
    """Deliveries, newest first, and the cursor of the next page, if any."""

    items: list[dict[str, Any]]
    next: str | None


def endpoints(actor: Actor) -> list[Endpoint]:
    """Return the actor's endpoints, or everybody's for ops, oldest first."""
    owner = None if actor.role.includes(Role.OPS) else actor.name
    rows = db.main().read(
        """select * from webhook_endpoints
           where removed_at_ms is null and owner = coalesce(:owner, owner) order by created_at_ms, id""",
        owner=owner,
    )
    return [Endpoint.from_row(row) for row in rows]


def required(actor: Actor, endpoint_id: str) -> Endpoint:
    """Return an endpoint the actor may see; raise NotFound for others."""
    row = db.main().one(
        "select * from webhook_endpoints where id = :id and removed_at_ms is null", id=endpoint_id
    )
    if row is None or not actor.may_see(row["owner"]):
        raise NotFound("There is no such endpoint, or it is not yours.")
    return Endpoint.from_row(row)


def deliveries(
    actor: Actor,
    *,
    endpoint_id: str | None = None,
    task_id: str | None = None,
    state: str | None = None,
    since_ms: int = 0,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """List deliveries made since a time, newest first: one's own, or everybody's for ops."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidInput("The cursor is not one of ours.", fields={"cursor": "take it from `next`"})
    limit = max(1, min(limit, MAX_PAGE))
    rows = db.main().read(
        """select d.*, m.task_id from webhook_deliveries d join webhook_messages m on m.id = d.message_id
           where d.seq < :before and d.owner = coalesce(:owner, d.owner)
               and coalesce(d.endpoint_id, '') = coalesce(:endpoint, d.endpoint_id, '')
               and coalesce(m.task_id, '') = coalesce(:task, m.task_id, '')
               and d.state = coalesce(:state, d.state) and d.created_at_ms >= :since
           order by d.seq desc limit :limit""",
        before=int(cursor) if cursor else 2**62,
        owner=None if actor.role.includes(Role.OPS) else actor.name,
        endpoint=endpoint_id,
        task=task_id,
        state=state,
        since=since_ms,
        limit=limit + 1,
    )
    items = [_document(row) for row in rows[:limit]]
    return Page(items, str(rows[limit - 1]["seq"]) if len(rows) > limit else None)


def delivery(actor: Actor, delivery_id: str) -> dict[str, Any]:
    """Return a delivery with its body and attempts; what was answered is for the owner alone.

    The answer of a server is a way to read what the asker cannot reach himself.
    """
    row = db.main().one(
        """select d.*, m.task_id, m.body from webhook_deliveries d
           join webhook_messages m on m.id = d.message_id where d.id = :id""",
        id=delivery_id,
    )
    if row is None or not actor.may_see(row["owner"]):
        raise NotFound("There is no such delivery, or it is not yours.")
    mine = actor.name == row["owner"]
    found = db.main().read(
        "select * from webhook_attempts where delivery_id = :id order by attempt", id=delivery_id
    )
    return {
        **_document(row),
        "body": row["body"],
        "attempts": [_attempt(attempt, mine) for attempt in found],
    }


def counts(actor: Actor, since_ms: int) -> dict[str, int]:
    """Count the actor's deliveries since a time by state."""
    rows = db.main().read(
        """select state, count(*) as n from webhook_deliveries
           where owner = coalesce(:owner, owner) and created_at_ms >= :since group by state""",
        owner=None if actor.role.includes(Role.OPS) else actor.name,
        since=since_ms,
    )
    found = {row["state"]: row["n"] for row in rows}
    return {state: found.get(state, 0) for state in STATES}


def _document(row: Row) -> dict[str, Any]:
    failed = row["error_code"] is not None
    return {
        "delivery_id": row["id"],
        "message_id": row["message_id"],
        "event": row["event"],
        "endpoint_id": row["endpoint_id"],
        "task_id": row["task_id"],
        "owner": row["owner"],
        "url": http.mask_url(row["url"]),
        "state": row["state"],
        "n_attempts": row["n_attempts"],
        "status": row["status"],
        "error": {"code": row["error_code"], "message": row["error_message"]} if failed else None,
        "duration_ms": row["last_ms"],
        "created_at": clock.iso(row["created_at_ms"]),
        "finished_at": clock.iso(row["finished_at_ms"]),
        "next_attempt_at": clock.iso(row["next_at_ms"]) if row["state"] == "waiting" else None,
    }


def _attempt(row: Row, mine: bool) -> dict[str, Any]:
    return {
        "attempt": row["attempt"],
        "started_at": clock.iso(row["started_at_ms"]),
        "duration_ms": row["duration_ms"],
        "status": row["status"],
        "error": {"code": row["error_code"], "message": row["error_message"]} if row["error_code"] else None,
        "answer": row["answer"] if mine else None,
    }
