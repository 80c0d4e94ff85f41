"""Submit: from a request to a row in the queue."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from engine import clock, log, registry
from engine.errors import Conflict, Forbidden, InvalidInput
from engine.lifecycle import hooks, moves
from engine.records import attempts, audit, db, tasks
from engine.records.db import Transaction
from engine.records.tasks import Task
from engine.registry import TaskType
from engine.words import Actor, TaskState

_FARTHEST_MS = 366 * 86_400_000
_PRIORITY = range(-100, 101)
_KEY_CHARS = 200


@dataclass(frozen=True)
class Submitted:
    """The task, and whether this call made it (or an earlier one with the same idempotency key)."""

    task: Task
    created: bool
    webhooks: tuple[dict[str, str], ...] = ()
    """The webhooks given with it; a secret made here is shown here, and never again."""

    def document(self) -> dict[str, Any]:
        """Return what a submit is answered with: the task, and its webhooks if it has any."""
        document = self.task.document()
        return {**document, "webhooks": list(self.webhooks)} if self.webhooks else document


def submit(actor: Actor, type_name: str, payload: Mapping[str, Any], **options: Any) -> Submitted:
    """Accept a task; the options are those of `submit_in`. The row is durable on return.

    Raises NotFound for an unknown type, Forbidden, InvalidInput with `fields`, RateLimited, and Conflict when
    the idempotency key was used with another payload. Nothing is written then.
    """
    model = _admit(actor, type_name).parse(payload)
    with db.main().write() as tx:
        return submit_in(tx, actor, type_name, model, **options)


@dataclass(frozen=True)
class Order:
    """What one caller of `submit_each` wants: the arguments of `submit`."""

    actor: Actor
    type_name: str
    payload: Mapping[str, Any]
    options: Mapping[str, Any]


def submit_each(orders: Sequence[Order]) -> list[Submitted | Exception]:
    """Accept tasks of several callers with one disk flush; each is accepted, or refused with an error, alone.

    All rows are durable on return. Raises only when nothing at all could be written.
    """
    results: list[Submitted | Exception] = []
    with db.main().write() as tx:
        for order in orders:
            try:
                with tx.part():
                    submitted = submit_in(tx, order.actor, order.type_name, order.payload, **order.options)
            except db.LockedOrFull:
                raise
            except Exception as error:  # noqa: BLE001 - an edge: handed to the caller it belongs to
                results.append(error)
            else:
                results.append(submitted)
    return results


def submit_in(
    tx: Transaction,
    actor: Actor,
    type_name: str,
    payload: Mapping[str, Any] | BaseModel,
    *,
    idempotency_key: str | None = None,
    run_at_ms: int | None = None,
    priority: int | None = None,
    correlation_id: str | None = None,
    parent_id: str | None = None,
    schedule_id: str | None = None,
    webhooks: Sequence[Mapping[str, Any]] = (),
) -> Submitted:
    """Accept a task inside the caller's transaction."""
    task_type = _admit(actor, type_name)
    model = payload if isinstance(payload, BaseModel) else task_type.parse(payload)
    _check_options(idempotency_key, run_at_ms, priority)
    digest = _digest(registry.canonical(model))
    if idempotency_key and (first := tasks.with_key(tx, actor.name, type_name, idempotency_key)):
        return _same_or_conflict(first, digest)
    if task_type.on_submit:
        model = task_type.on_submit(tx, actor, model)
    row = _row(
        actor,
        task_type,
        model,
        digest,
        idempotency_key=idempotency_key,
        run_at_ms=run_at_ms,
        priority=priority,
        correlation_id=correlation_id,
        parent_id=parent_id,
        schedule_id=schedule_id,
    )
    tasks.insert(tx, row)
    moves.note(tx, row["id"], None, row["state"], actor=actor.name, now_ms=row["created_at_ms"])
    if not task_type.system:
        audit.add(tx, actor, "task.submit", row["id"], {"type": type_name})
    task = tasks.get(tx, row["id"])
    assert task is not None
    if task_type.on_stored:
        task_type.on_stored(tx, task, model)
    return Submitted(task, created=True, webhooks=hooks.attach(tx, task, webhooks))


def submit_many(
    actor: Actor, type_name: str, payloads: Sequence[Mapping[str, Any]], *, priority: int | None = None
) -> list[str]:
    """Accept many tasks of one type in one transaction, all or none; return their ids in order.

    Raises InvalidInput whose field paths begin with the index of the wrong payload.
    """
    task_type = _admit(actor, type_name)
    _check_options(None, None, priority)
    models = _parse_all(task_type, payloads)
    with db.main().write() as tx:
        if task_type.on_submit:
            models = [task_type.on_submit(tx, actor, model) for model in models]
        rows = [
            _row(actor, task_type, m, _digest(registry.canonical(m)), priority=priority, run_at_ms=None)
            for m in models
        ]
        tasks.insert_many(tx, rows)
        _tell_type(tx, task_type, [row["id"] for row in rows], models)
        attempts.note_many(
            tx,
            [(row["id"], None) for row in rows],
            TaskState.QUEUED,
            actor=actor.name,
            now_ms=clock.now_ms(),
        )
        audit.add(tx, actor, "task.submit_many", type_name, {"n_tasks": len(rows)})
    return [row["id"] for row in rows]


def _tell_type(tx: Transaction, task_type: TaskType, ids: Sequence[str], models: Sequence[BaseModel]) -> None:
    if task_type.on_stored:
        for task_id, model in zip(ids, models, strict=True):
            if task := tasks.get(tx, task_id):
                task_type.on_stored(tx, task, model)


def _admit(actor: Actor, type_name: str) -> TaskType:
    task_type = registry.get(type_name)
    if task_type.system and actor.via != "system":
        raise Forbidden(f"Tasks of type {type_name} are started by the installation itself.")
    if not actor.role.includes(task_type.min_role):
        raise Forbidden(f"Submitting {type_name} needs the role {task_type.min_role}; you are {actor.role}.")
    return task_type


def _check_options(key: str | None, run_at_ms: int | None, priority: int | None) -> None:
    fields = {}
    if key is not None and not (0 < len(key) <= _KEY_CHARS and key.isprintable()):
        fields["idempotency_key"] = f"must have 1 to {_KEY_CHARS} printable characters"
    if priority is not None and priority not in _PRIORITY:
        fields["priority"] = "must be between -100 and 100"
    if run_at_ms is not None and run_at_ms > clock.now_ms() + _FARTHEST_MS:
        fields["run_at"] = "must be within a year"
    if fields:
        raise InvalidInput("The task's options are not valid.", fields=fields)


def _same_or_conflict(first: Task, digest: str) -> Submitted:
    if first.payload_hash != digest:
        raise Conflict(
            "This idempotency key was used with another payload; choose a new key.",
            code="idempotency_conflict",
        )
    return Submitted(first, created=False)


def _parse_all(task_type: TaskType, payloads: Sequence[Mapping[str, Any]]) -> list[BaseModel]:
    models, fields = [], {}
    for index, payload in enumerate(payloads):
        try:
            models.append(task_type.parse(payload))
        except InvalidInput as error:
            fields.update({f"{index}.{path}": text for path, text in error.fields.items()})
    if fields:
        raise InvalidInput(f"{len(payloads) - len(models)} payloads are not valid.", fields=fields)
    return models


def _row(
    actor: Actor,
    task_type: TaskType,
    model: BaseModel,
    digest: str,
    *,
    run_at_ms: int | None,
    priority: int | None,
    idempotency_key: str | None = None,
    correlation_id: str | None = None,
    parent_id: str | None = None,
    schedule_id: str | None = None,
) -> dict[str, Any]:
    now_ms = clock.now_ms()
    later = run_at_ms is not None and run_at_ms > now_ms
    starts_ms = run_at_ms if later and run_at_ms else now_ms
    expires_s = task_type.expires_s
    return {
        "id": secrets.token_hex(16),
        "type": task_type.name,
        "state": TaskState.SCHEDULED if later else TaskState.QUEUED,
        "payload": registry.canonical(model),
        "payload_hash": digest,
        "owner": actor.name,
        "priority": task_type.priority if priority is None else priority,
        "correlation_id": correlation_id or log.correlation_id() or log.new_correlation_id(),
        "idempotency_key": idempotency_key,
        "parent_id": parent_id,
        "schedule_id": schedule_id,
        "created_at_ms": now_ms,
        "queued_at_ms": None if later else now_ms,
        "due_at_ms": run_at_ms if later else 0,
        "expires_at_ms": starts_ms + int(expires_s * 1000) if expires_s else None,
        "max_attempts": task_type.max_attempts,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
