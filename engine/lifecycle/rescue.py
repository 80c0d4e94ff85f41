"""What the beat does for tasks nobody looks after: give back those of dead workers, end those too late."""

from collections.abc import Callable

from engine import clock, log, registry, settings
from engine.lifecycle import moves
from engine.lifecycle.run import expire, finish
from engine.records import attempts, db, tasks, workers
from engine.records.db import LockedOrFull, Row, Transaction
from engine.records.tasks import Task
from engine.words import Outcome, TaskState

logger = log.get(__name__)

_EXPIRED_AT_ONCE = 500
_SILENT_MS = 15 * 60_000
"""Far longer than any lease: a worker this silent has lost its tasks already."""


def rescue(gone: Callable[[Row], bool], *, trust_leases: bool) -> int:
    """Take tasks from workers that are gone, and, if leases can be trusted now, from silent ones.

    `gone` says of a row of `workers` whether its process is known to be dead. Leases cannot be trusted just
    after the clock jumped or the caller itself could not write. Returns how many tasks were taken.
    """
    now_ms = clock.now_ms()
    with db.main().snapshot() as snapshot:  # or a worker that starts between the two reads looks unknown
        rows, running = workers.live(snapshot), tasks.running(snapshot)
    dead = {row["id"] for row in rows if gone(row)}
    alive = {row["id"] for row in rows} - dead
    taken = sum(
        _try_to_take(task.id, task.token)
        for task in running
        if task.worker_id not in alive or (trust_leases and (task.lease_until_ms or 0) < now_ms)
    )
    reasons = dict.fromkeys(dead, "process gone")
    if trust_leases:
        reasons |= {row["id"]: "silent" for row in rows if _silent_for_long(row, now_ms)}
    for worker_id, reason in reasons.items():
        with db.main().write() as tx:
            workers.stop(tx, worker_id, now_ms, reason)
    return taken


def expire_waiting() -> int:
    """End waiting tasks whose time to start is over; return how many."""
    now_ms = clock.now_ms()
    late = tasks.expired(db.main(), now_ms, _EXPIRED_AT_ONCE)
    if not late:
        return 0
    with db.main().write() as tx:
        return sum(expire(tx, task, now_ms) for task in late)


def _silent_for_long(row: Row, now_ms: int) -> bool:
    """Whether a worker of another machine, container or boot is written off; its next beat undoes it."""
    silence_ms = max(_SILENT_MS, int(4 * settings.get().lease_s * 1000))
    return bool(now_ms - row["heartbeat_at_ms"] > silence_ms)


def _try_to_take(task_id: str, token: int) -> bool:
    try:
        return _take(task_id, token)
    except LockedOrFull:
        raise
    except Exception as error:  # noqa: BLE001 - one broken task must not keep the others; it is logged
        logger.error("task not rescued", task=task_id, error=repr(error))
        return False


def _take(task_id: str, token: int) -> bool:
    with db.main().write() as tx:
        task = tasks.get(tx, task_id)
        if task is None or task.token != token or task.state is not TaskState.RUNNING:
            return False  # it was settled or taken meanwhile
        now_ms = clock.now_ms()
        attempts.finish(
            tx,
            task,
            Outcome.DIED,
            now_ms=now_ms,
            duration_ms=max(0, now_ms - (task.started_at_ms or now_ms)),
            error=("worker_died", "The worker process vanished."),
        )
        _after_death(tx, task, now_ms)
        return True


def _after_death(tx: Transaction, task: Task, now_ms: int) -> None:
    deaths = task.deaths + 1
    if task.cancel_requested_at_ms is not None:
        reason = f"its worker died after {task.cancel_requested_by} asked to stop"
        finish(tx, task, TaskState.CANCELLED, now_ms=now_ms, deaths=deaths, reason=reason)
    elif error := _verdict(task, deaths):
        finish(tx, task, TaskState.FAILED, now_ms=now_ms, deaths=deaths, error=error, reason=error[1])
    else:
        tasks.give_back(
            tx, task, TaskState.QUEUED, now_ms=now_ms, due_at_ms=0, failures=task.failures, deaths=deaths
        )
        reason = f"worker died ({deaths} of {settings.get().poison_deaths})"
        moves.note(
            tx, task.id, TaskState.RUNNING, TaskState.QUEUED, actor="rescue", now_ms=now_ms, reason=reason
        )


def _verdict(task: Task, deaths: int) -> tuple[str, str] | None:
    if deaths >= settings.get().poison_deaths:
        return "poison", f"{deaths} workers died while running this task, so it is not run again by itself."
    task_type = registry.find(task.type)
    return task_type.on_rescue(task) if task_type and task_type.on_rescue else None
