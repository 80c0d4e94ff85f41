"""Attempts (one execution each) and events (every other change) of tasks."""

from collections.abc import Iterable

from engine.records.db import Transaction
from engine.records.tasks import Task
from engine.words import Outcome, TaskState


def begin(tx: Transaction, task: Task, now_ms: int) -> None:
    """Open the attempt row of a task just claimed."""
    tx.run(
        """insert into attempts (task_id, attempt, token, worker_id, started_at_ms, wait_ms)
           values (:id, :attempt, :token, :worker, :now, :wait)""",
        id=task.id,
        attempt=task.attempt,
        token=task.token,
        worker=task.worker_id,
        now=now_ms,
        wait=max(0, now_ms - (task.queued_at_ms or task.created_at_ms)),
    )


def finish(
    tx: Transaction,
    task: Task,
    outcome: Outcome,
    *,
    now_ms: int,
    duration_ms: int,
    error: tuple[str, str] | None = None,
    traceback: str | None = None,
    log: str = "",
    cpu_ms: int | None = None,
    peak_memory_bytes: int | None = None,
) -> None:
    """Close the attempt row with what came of it."""
    tx.run(
        """update attempts set finished_at_ms = :now, duration_ms = :duration, outcome = :outcome,
               error_code = :code, error_message = :message, traceback = :traceback, cpu_ms = :cpu,
               peak_memory_bytes = :memory, log = case when :log = '' then log else :log end
           where task_id = :id and attempt = :attempt and token = :token""",
        id=task.id,
        attempt=task.attempt,
        token=task.token,
        now=now_ms,
        duration=duration_ms,
        outcome=outcome,
        code=error[0] if error else None,
        message=error[1] if error else None,
        traceback=traceback,
        log=log,
        cpu=cpu_ms,
        memory=peak_memory_bytes,
    )


def write_log(tx: Transaction, task: Task, log: str) -> None:
    """Store the log lines so far of a running attempt."""
    tx.run(
        """update attempts set log = :log
           where task_id = :id and attempt = :attempt and token = :token and finished_at_ms is null""",
        id=task.id,
        attempt=task.attempt,
        token=task.token,
        log=log,
    )


def note(
    tx: Transaction,
    task_id: str,
    before: TaskState | str | None,
    after: TaskState,
    *,
    actor: str,
    now_ms: int,
    reason: str = "",
) -> None:
    """Write one event of a task's timeline."""
    note_many(tx, [(task_id, before)], after, actor=actor, now_ms=now_ms, reason=reason)


def note_many(
    tx: Transaction,
    tasks: Iterable[tuple[str, TaskState | str | None]],
    after: TaskState,
    *,
    actor: str,
    now_ms: int,
    reason: str = "",
) -> None:
    """Write the same event for several tasks, given as (id, state before)."""
    tx.run_many(
        """insert into task_events (task_id, at_ms, from_state, to_state, actor, reason)
           values (:id, :now, :before, :after, :actor, :reason)""",
        [
            {"id": i, "now": now_ms, "before": before, "after": after, "actor": actor, "reason": reason}
            for i, before in tasks
        ],
    )
