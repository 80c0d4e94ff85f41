"""The way of a task through a worker: claim, progress, settle. All guarded by the token of the claim."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine import clock, registry, settings
from engine.errors import LeaseLost
from engine.lib.storable import storable
from engine.lifecycle import announce, moves
from engine.records import attempts, db, tasks, workers
from engine.records.db import Reader, Row, Transaction
from engine.records.tasks import Task
from engine.registry import TaskType
from engine.words import Outcome, TaskState

_PROMOTED_AT_ONCE = 500
_OVERDUE_AT_ONCE = 100
_MESSAGE_CHARS = 2_000


@dataclass(frozen=True)
class Ending:
    """What came of an attempt, as the worker saw it. `delay_s` is a least wait the other side asked for."""

    outcome: Outcome
    error: tuple[str, str] | None = None
    permanent: bool = False
    result: str | None = None
    delay_s: float = 0
    duration_ms: int = 0
    traceback: str | None = None
    log: str = ""
    cpu_ms: int | None = None
    peak_memory_bytes: int | None = None


def wait_is_over(types: Sequence[TaskType]) -> bool:
    """Whether a claim would find something; reads only, so idle workers never take the write lock."""
    reader = db.main()
    now_ms = clock.now_ms()
    with reader.snapshot() as snapshot:
        return (
            tasks.any_due(snapshot, now_ms) or tasks.head(snapshot, _open_types(snapshot, types)) is not None
        )


def any_due() -> bool:
    """Whether a scheduled or retrying task has come due; one index look-up."""
    return tasks.any_due(db.main(), clock.now_ms())


def claim(worker_id: str, types: Sequence[TaskType]) -> Task | None:
    """Take the next task this worker may run, with a lease and a fresh token; None when there is none."""
    with db.main().write() as tx:
        return _claim(tx, worker_id, types)


def progress(task: Task, percent: int, note: str) -> None:
    """Record progress of a running task; raise LeaseLost when another worker has it."""
    with db.main().write() as tx:
        if not tasks.write_progress(tx, task, max(0, min(99, percent)), storable(note[:200])):
            raise LeaseLost


def mark_sent(task: Task) -> None:
    """Record that an outside effect begins; raise LeaseLost when another worker has the task."""
    with db.main().write() as tx:
        if not tasks.mark_sent(tx, task, clock.now_ms()):
            raise LeaseLost


def keep_log(task: Task, log: str) -> None:
    """Store the log lines of a running attempt, so that people can read along."""
    with db.main().write() as tx:
        attempts.write_log(tx, task, storable(log))


def settle(task: Task, ending: Ending) -> TaskState:
    """Write what came of an attempt, and what happens next, in one transaction; return the new state.

    Raises LeaseLost, and writes nothing, when the task is no longer this worker's.
    """
    with db.main().write() as tx:
        return _settle(tx, task, ending)


def settle_and_claim(
    task: Task, ending: Ending, worker_id: str, types: Sequence[TaskType]
) -> tuple[TaskState, Task | None]:
    """Settle an attempt and claim the next task in the same transaction.

    A busy worker then pays one disk flush a task instead of two, which is most of what a small task costs.
    """
    with db.main().write() as tx:
        return _settle(tx, task, ending), _claim(tx, worker_id, types)


def _claim(tx: Transaction, worker_id: str, types: Sequence[TaskType]) -> Task | None:
    now_ms = clock.now_ms()
    _promote(tx, now_ms)
    head = _next(tx, _open_types(tx, types), now_ms)
    if head is None:
        return None
    lease_until_ms = now_ms + int(settings.get().lease_s * 1000)
    task = tasks.claim(tx, head["seq"], worker_id=worker_id, now_ms=now_ms, lease_until_ms=lease_until_ms)
    if task:
        attempts.begin(tx, task, now_ms)
    return task


def _next(tx: Transaction, types: Sequence[str], now_ms: int) -> Row | None:
    """Return the task to start next; end those before it whose time to start is over."""
    for _ in range(_OVERDUE_AT_ONCE):
        head = tasks.head(tx, types)
        if head is None or head["expires_at_ms"] is None or head["expires_at_ms"] > now_ms:
            return head
        if overdue := tasks.get(tx, head["id"]):
            expire(tx, overdue, now_ms)
    return None


def _settle(tx: Transaction, task: Task, ending: Ending) -> TaskState:
    now_ms = clock.now_ms()
    current = tasks.get(tx, task.id)
    if current is None or current.token != task.token or current.state is not TaskState.RUNNING:
        raise LeaseLost
    attempts.finish(
        tx,
        task,
        ending.outcome,
        now_ms=now_ms,
        duration_ms=ending.duration_ms,
        error=_short(ending.error),
        traceback=storable(ending.traceback) if ending.traceback else None,
        log=storable(ending.log),
        cpu_ms=ending.cpu_ms,
        peak_memory_bytes=ending.peak_memory_bytes,
    )
    return _decide(tx, current, ending, now_ms)


def _decide(tx: Transaction, task: Task, ending: Ending, now_ms: int) -> TaskState:
    outcome, failures = ending.outcome, task.failures
    if outcome is Outcome.SUCCEEDED:
        return finish(tx, task, TaskState.SUCCEEDED, now_ms=now_ms, result=ending.result)
    if task.cancel_requested_at_ms is not None or outcome is Outcome.CANCELLED:
        reason = (
            f"stopped as {task.cancel_requested_by} asked" if task.cancel_requested_by else "stopped itself"
        )
        return finish(tx, task, TaskState.CANCELLED, now_ms=now_ms, reason=reason)
    task_type = registry.find(task.type)
    if outcome is Outcome.INTERRUPTED:
        if task_type and task_type.on_rescue and (error := task_type.on_rescue(task)):
            return finish(tx, task, TaskState.FAILED, now_ms=now_ms, error=error, reason=error[1])
        return _back(tx, task, TaskState.QUEUED, now_ms=now_ms, reason="worker shut down")
    if outcome is Outcome.DEFERRED:
        return _back(tx, task, TaskState.RETRYING, now_ms=now_ms, delay_s=ending.delay_s, error=ending.error)
    failures += 1
    if ending.permanent or failures >= task.max_attempts or task_type is None:
        return finish(
            tx,
            task,
            TaskState.FAILED,
            now_ms=now_ms,
            error=ending.error,
            failures=failures,
            result=ending.result,
        )
    delay_s = max(task_type.delay_s(failures), ending.delay_s)
    return _back(
        tx, task, TaskState.RETRYING, now_ms=now_ms, delay_s=delay_s, error=ending.error, failures=failures
    )


def finish(
    tx: Transaction,
    task: Task,
    state: TaskState,
    *,
    now_ms: int,
    error: tuple[str, str] | None = None,
    result: str | None = None,
    failures: int | None = None,
    deaths: int | None = None,
    reason: str = "",
) -> TaskState:
    """End a running task within a transaction that holds its token."""
    tasks.end(
        tx,
        task,
        state,
        now_ms=now_ms,
        failures=task.failures if failures is None else failures,
        deaths=task.deaths if deaths is None else deaths,
        error=_short(error),
        result=result,
    )
    actor = task.cancel_requested_by or "worker"
    if reason or state is not TaskState.SUCCEEDED:
        moves.note(tx, task.id, TaskState.RUNNING, state, actor=actor, now_ms=now_ms, reason=reason)
    announce.ended(tx, task, state)
    return state


def expire(tx: Transaction, task: Task, now_ms: int) -> bool:
    """End a waiting task whose time to start is over; False when it does not wait any more."""
    error = ("expired", "The task did not start in time.")
    ended = tasks.end_waiting(tx, task, TaskState.EXPIRED, now_ms=now_ms, error=error)
    if ended:
        moves.note(tx, task.id, task.state, TaskState.EXPIRED, actor="clock", now_ms=now_ms)
        announce.ended(tx, task, TaskState.EXPIRED)
    return ended


def _back(
    tx: Transaction,
    task: Task,
    state: TaskState,
    *,
    now_ms: int,
    delay_s: float = 0,
    error: tuple[str, str] | None = None,
    failures: int | None = None,
    reason: str = "",
) -> TaskState:
    tasks.give_back(
        tx,
        task,
        state,
        now_ms=now_ms,
        due_at_ms=now_ms + int(delay_s * 1000) if state is TaskState.RETRYING else 0,
        failures=task.failures if failures is None else failures,
        deaths=task.deaths,
        error=_short(error),
    )
    moves.note(tx, task.id, TaskState.RUNNING, state, actor="worker", now_ms=now_ms, reason=reason)
    return state


def _promote(tx: Transaction, now_ms: int) -> None:
    for task_id, before in tasks.promote_due(tx, now_ms, _PROMOTED_AT_ONCE):
        moves.note(tx, task_id, TaskState(before), TaskState.QUEUED, actor="clock", now_ms=now_ms)


def _open_types(reader: Reader, types: Sequence[TaskType]) -> list[str]:
    paused = workers.paused_scopes(reader)
    limited = any(t.max_running for t in types)
    running = tasks.running_by_type(reader) if limited else {}
    return [
        t.name
        for t in types
        if (t.system or not ({"*", t.name} & paused))
        and (t.max_running is None or running.get(t.name, 0) < t.max_running)
    ]


def _short(error: tuple[str, str] | None) -> tuple[str, str] | None:
    return (error[0], storable(error[1][:_MESSAGE_CHARS])) if error else None
