"""Events: written with what they tell, in one transaction, one delivery and one task for each who listens."""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from engine import clock, log, registry, settings
from engine.lib import addresses, signing
from engine.lifecycle.submit import submit_in
from engine.records import tasks, webhooks
from engine.records.db import LockedOrFull, Transaction
from engine.records.tasks import Task
from engine.records.webhooks import Target
from engine.words import SYSTEM, TaskState

EVENTS = (
    "task.succeeded",
    "task.failed",
    "task.cancelled",
    "task.expired",
    "schedule.missed",
    "alert.opened",
    "alert.resolved",
)
logger = log.get(__name__)

TEST_EVENT = "webhook.test"
DELIVERY_TYPE = "webhook_delivery"


def ended(tx: Transaction, task: Task, state: TaskState) -> None:
    """Tell those who listen that a task has ended; tasks of the installation itself tell nobody.

    An event that cannot be written is logged and left out: it must not undo the outcome it tells of.
    """
    if task.type == DELIVERY_TYPE:
        _close_delivery(tx, task, state)
    task_type = registry.find(task.type)
    if task_type and task_type.system:
        return
    try:
        _tell(tx, task, f"task.{state}")
    except LockedOrFull:
        raise
    except Exception as error:  # noqa: BLE001 - or the task could never end; it is logged
        logger.error("event not written", task=task.id, state=state, error=repr(error))


def _close_delivery(tx: Transaction, task: Task, state: TaskState) -> None:
    """End a delivery whose task was stopped or given up; it would wait for ever otherwise."""
    delivery = webhooks.delivery(tx, json.loads(task.payload)["delivery_id"])
    if delivery is not None and delivery["state"] == "waiting" and state is not TaskState.SUCCEEDED:
        error = (f"task_{state}", f"The task of this delivery ended before it: {state}.")
        webhooks.end_delivery(tx, delivery["id"], "failed", now_ms=clock.now_ms(), error=error, failed=False)


def _tell(tx: Transaction, task: Task, event: str) -> None:
    own = [_own(row["id"], task.owner, row["url"]) for row in webhooks.of_task(tx, task.id)]
    targets = own + _listening(tx, task.owner, event)
    if targets and (after := tasks.get(tx, task.id)):
        with tx.part():
            _write(tx, targets, event, _absolute(after.document()), task.owner, task)


def emit(
    tx: Transaction, event: str, data: Mapping[str, Any], *, owner: str | None, message_id: str | None = None
) -> int:
    """Tell an owner's endpoints, or without one those of everybody who operates Offload; return how many.

    Whoever may have to repeat an event gives it an id; a message with that id is not written twice.
    """
    if event not in EVENTS:
        raise ValueError(f"{event} is not an event")
    if message_id is not None and webhooks.has_message(tx, message_id):
        return 0
    targets = _listening(tx, owner, event)
    _write(tx, targets, event, data, owner, None, message_id)
    return len(targets)


def emit_test(tx: Transaction, endpoint: webhooks.Endpoint) -> str:
    """Send one endpoint a test event, whatever it listens to; return the id of the delivery."""
    target = _target(endpoint.id, endpoint.id, endpoint.owner, endpoint.url)
    data = {"endpoint_id": endpoint.id, "message": "This is a test of this endpoint."}
    return _write(tx, [target], TEST_EVENT, data, endpoint.owner, None)[0]


def deliver(tx: Transaction, delivery_id: str, cause: Task | None = None) -> str:
    """Enqueue the task of a delivery; return its id."""
    payload = {"delivery_id": delivery_id}
    correlation_id = cause.correlation_id if cause else None
    parent_id = cause.id if cause else None
    done = submit_in(tx, SYSTEM, DELIVERY_TYPE, payload, correlation_id=correlation_id, parent_id=parent_id)
    return done.task.id


def _write(
    tx: Transaction,
    targets: Sequence[Target],
    event: str,
    data: Mapping[str, Any],
    owner: str | None,
    cause: Task | None,
    message_id: str | None = None,
) -> list[str]:
    if not targets:
        return []
    now_ms = clock.now_ms()
    body = {"type": event, "timestamp": clock.iso(now_ms), "data": data}
    ids = [secrets.token_hex(12) for _ in targets]
    webhooks.write_deliveries(
        tx,
        targets,
        message_id=message_id or signing.new_message_id(),
        event=event,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str),
        owner=owner,
        task_id=cause.id if cause else None,
        ids=ids,
        now_ms=now_ms,
    )
    for delivery_id in ids:
        deliver(tx, delivery_id, cause)
    return ids


def _listening(tx: Transaction, owner: str | None, event: str) -> list[Target]:
    return [
        _target(endpoint.id, endpoint.id, endpoint.owner, endpoint.url)
        for endpoint in webhooks.subscribers(tx, owner)
        if endpoint.hears(event)
    ]


def _own(webhook_id: str, owner: str, url: str) -> Target:
    return _target(webhook_id, None, owner, url)


def _target(target_id: str, endpoint_id: str | None, owner: str, url: str) -> Target:
    return Target(target_id, endpoint_id, owner, url, addresses.check_url(url).host)


def _absolute(document: dict[str, Any]) -> dict[str, Any]:
    """Give the links of a task the address people use; the Host header of a request has no say in it."""
    base = settings.get().public_url
    return {**document, "links": {name: base + path for name, path in document["links"].items()}}
