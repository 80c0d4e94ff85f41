"""What people may do to tasks and to the queue: cancel, retry, purge, pause, resume."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine import clock, registry
from engine.errors import Conflict, Forbidden, InvalidInput, NotFound
from engine.lifecycle import announce, moves
from engine.lifecycle.submit import Submitted, submit_in
from engine.records import attempts, audit, db, tasks, workers
from engine.records.db import Reader
from engine.records.tasks import Task
from engine.words import Actor, Role, TaskState

_PURGED_AT_ONCE = 1_000


@dataclass(frozen=True)
class Cancelled:
    """The task after the call, and who won: it had not begun, it was asked to stop, or it had ended."""

    task: Task
    outcome: Literal["cancelled", "requested", "ended"]


RETRIED = frozenset({TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED})
"""The states from which a task is run again by hand."""


def may_cancel(actor: Actor, task: Task) -> bool:
    """Tell whether `cancel` would do something for this actor, as far as this copy of the task knows."""
    return _may_act(actor, task) and not task.state.ended


def may_retry(actor: Actor, task: Task) -> bool:
    """Tell whether `retry` would do something for this actor, as far as this copy of the task knows."""
    task_type = registry.find(task.type)
    allowed = task_type is not None and actor.role.includes(task_type.min_role)
    return _may_act(actor, task) and allowed and task.state in RETRIED


def cancel(actor: Actor, task_id: str) -> Cancelled:
    """End a waiting task at once, or ask a running one to stop; raise NotFound for another's task."""
    with db.main().write() as tx:
        task = _allowed(tx, actor, task_id)
        now_ms = clock.now_ms()
        if tasks.end_waiting(tx, task, TaskState.CANCELLED, now_ms=now_ms):
            moves.note(tx, task.id, task.state, TaskState.CANCELLED, actor=actor.name, now_ms=now_ms)
            announce.ended(tx, task, TaskState.CANCELLED)
            outcome: Literal["cancelled", "requested", "ended"] = "cancelled"
        elif tasks.request_cancel(tx, task, actor.name, now_ms):
            outcome = "requested"
        else:
            outcome = "ended"
        audit.add(tx, actor, "task.cancel", task.id, {"outcome": outcome})
        return Cancelled(tasks.get(tx, task.id) or task, outcome)


def retry(
    actor: Actor, task_id: str, payload: Mapping[str, Any] | None = None, *, correlation_id: str | None = None
) -> Submitted:
    """Run an ended task again under its id, or, with an edited payload, submit a new task that names it.

    Raises Conflict when the task succeeded or has not ended.
    """
    with db.main().write() as tx:
        task = _allowed(tx, actor, task_id)
        if task.state not in RETRIED:
            raise Conflict(f"Only failed, cancelled and expired tasks are retried; this one is {task.state}.")
        if payload is not None:
            return submit_in(
                tx,
                actor,
                task.type,
                payload,
                parent_id=task.id,
                correlation_id=correlation_id or task.correlation_id,
            )
        _may_submit(actor, task)
        if again := registry.get(task.type).on_again:
            again(tx, task)
        now_ms = clock.now_ms()
        tasks.requeue(tx, task, now_ms)
        audit.add(tx, actor, "task.retry", task.id)
        moves.note(tx, task.id, task.state, TaskState.QUEUED, actor=actor.name, now_ms=now_ms, reason="retry")
        return Submitted(tasks.get(tx, task.id) or task, created=False)


def purge(actor: Actor, type_name: str | None = None) -> int:
    """Cancel all tasks that wait now, or those of one type; return how many. Nothing is deleted.

    What is submitted meanwhile stays: otherwise a purge under steady load would never end.
    Raises InvalidInput for a type of which there is neither code nor a waiting task.
    """
    _ops(actor)
    purged, newest = 0, tasks.newest_seq(db.main())
    while batch := _purge_batch(actor, type_name, newest):
        purged += batch
    if not purged and type_name is not None:
        _known_type(type_name)
    with db.main().write() as tx:
        audit.add(tx, actor, "queue.purge", type_name or "*", {"n_tasks": purged})
    return purged


def pause(actor: Actor, scope: str = "*", note: str = "") -> bool:
    """Stop claiming a type, or everything; running work goes on. False when it was paused already."""
    _ops(actor)
    _known_scope(scope)
    with db.main().write() as tx:
        audit.add(tx, actor, "queue.pause", scope, {"note": note[:200]})
        return workers.pause(tx, scope, actor.name, clock.now_ms(), note[:200])


def resume(actor: Actor, scope: str = "*") -> bool:
    """Lift a pause; False when there was none."""
    _ops(actor)
    _known_scope(scope)
    with db.main().write() as tx:
        audit.add(tx, actor, "queue.resume", scope)
        return workers.resume(tx, scope)


def _purge_batch(actor: Actor, type_name: str | None, newest: int) -> int:
    with db.main().write() as tx:
        now_ms = clock.now_ms()
        batch = tasks.waiting(tx, type_name, _system_types(), newest, _PURGED_AT_ONCE)
        for task in batch:
            tasks.end_waiting(tx, task, TaskState.CANCELLED, now_ms=now_ms)
            announce.ended(tx, task, TaskState.CANCELLED)
        by_state = [(task.id, task.state) for task in batch]
        attempts.note_many(
            tx, by_state, TaskState.CANCELLED, actor=actor.name, now_ms=now_ms, reason="queue purged"
        )
        return len(batch)


def _allowed(reader: Reader, actor: Actor, task_id: str) -> Task:
    task = tasks.get(reader, task_id)
    if task is None or not actor.may_see(task.owner):
        raise NotFound("There is no such task, or it is not yours.")
    if not _may_act(actor, task):
        raise Forbidden("Your role may look, not act.")
    return task


def _may_act(actor: Actor, task: Task) -> bool:
    return actor.may_see(task.owner) and actor.role.includes(Role.STAFF)


def _may_submit(actor: Actor, task: Task) -> None:
    task_type = registry.get(task.type)
    if not actor.role.includes(task_type.min_role):
        raise Forbidden(f"Running {task.type} needs the role {task_type.min_role}.")


def _ops(actor: Actor) -> None:
    if not actor.role.includes(Role.OPS):
        raise Forbidden("This needs the role ops.")


def _known_scope(scope: str) -> None:
    if scope != "*":
        _known_type(scope)
    if scope in _system_types():
        raise InvalidInput(f"{scope} belongs to the installation and is not paused.")


def _known_type(name: str) -> None:
    if registry.find(name) is None:
        raise InvalidInput(f"There is no task type {name!r}; `*` means the whole queue.")


def _system_types() -> list[str]:
    return [t.name for t in registry.all_types() if t.system]
