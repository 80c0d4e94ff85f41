"""Huey on our own queue: the `tasks` table. Adapts Huey to `lifecycle`, nothing else.

Stock Huey deletes a message before it runs it, so a killed worker loses the task. Here `dequeue` claims a
row under a lease, and `execute` settles it under the claim's token; Huey keeps its registry, execution,
signals, consumer, health check and shutdown. Huey swallows what hooks and receivers raise, so nothing here
relies on them.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from huey.api import Huey
from huey.api import Task as HueyTask
from huey.consumer import Consumer
from huey.exceptions import CancelExecution
from huey.storage import BlackHoleStorage

from engine import lifecycle, log, registry
from engine.errors import LeaseLost, TaskCancelled
from engine.lifecycle import Ending
from engine.queue.endings import UNEXPECTED, failed, succeeded
from engine.queue.running import Running
from engine.records import db
from engine.records.db import LockedOrFull
from engine.records.tasks import Task
from engine.words import Outcome, TaskState

__all__ = ["OffloadHuey", "Running"]

Observer = Callable[[Task, Ending, TaskState], None]

_SETTLE_AGAIN_S = 0.5
_BROKEN = Ending(
    Outcome.FAILED, error=("worker_broke", "The worker failed to run the task or to write what came of it.")
)

logger = log.get(__name__)


class OffloadHuey(Huey):  # type: ignore[misc]
    """A Huey whose storage is `lifecycle`.

    Before it is consumed, `adopt` tells it the task types. `around` is entered round each attempt's function,
    `observers` are called after each settled attempt, `on_beat` every second by the scheduler thread.
    """

    def __init__(self, make_consumer: Callable[..., Consumer] = Consumer) -> None:
        super().__init__("offload", storage_class=BlackHoleStorage, results=False)
        self.worker_id = ""
        self.in_flight: dict[str, Running] = {}
        """The attempts claimed by this process and not settled yet, by task id."""
        self.stopping = threading.Event()
        """Set when nothing more is to be claimed."""
        self.observers: list[Observer] = []
        self.on_beat: Callable[[], None] = lambda: None
        self.around: Callable[[Running], AbstractContextManager[None]] = lambda _running: nullcontext()
        self._make_consumer = make_consumer
        self._types: Sequence[registry.TaskType] = ()
        self._classes: dict[str, type[HueyTask]] = {}
        self._held: deque[HueyTask] = deque()

    def adopt(self, types: Sequence[registry.TaskType]) -> None:
        """Make task types known to Huey under their own names; only these are claimed."""
        self._types = types
        self._classes = {
            task_type.name: self.task(name=task_type.name, context=True)(self._runner(task_type)).task_class
            for task_type in types
        }

    @property
    def type_names(self) -> str:
        """The adopted types, separated by blanks."""
        return " ".join(task_type.name for task_type in self._types)

    def create_consumer(self, **options: Any) -> Consumer:
        return self._make_consumer(self, **options)

    def enqueue(self, task: HueyTask) -> None:
        raise NotImplementedError("tasks are submitted through engine.lifecycle")

    def dequeue(self) -> HueyTask | None:
        """Return a task claimed while another was settled, or claim one.

        What was claimed is for whichever thread comes first: the one that settled may be at its end.
        """
        if self.stopping.is_set():
            return None
        with suppress(IndexError):
            return self._held.popleft()
        if not lifecycle.wait_is_over(self._types):  # without the write lock, so idling costs nobody else
            return None
        claimed = lifecycle.claim(self.worker_id, self._types)
        return self._take(claimed) if claimed else None

    def execute(self, task: HueyTask, timestamp: Any = None) -> None:
        """Run a claimed task and write what came of it, whatever happened."""
        running: Running = task.running
        log.correlate(running.correlation_id)
        log.bind(task_id=running.id)
        try:
            super().execute(task, timestamp)
        finally:
            self._settle(running, task.ending)

    def is_revoked(self, task: HueyTask, timestamp: Any = None, peek: bool = True) -> bool:
        return False  # a cancelled task is never claimed

    def read_schedule(self, timestamp: Any = None) -> list[HueyTask]:
        """Beat; there is nothing to move, because what is due is claimed from the table."""
        self.on_beat()
        return []

    def read_periodic(self, timestamp: Any) -> list[HueyTask]:
        return []  # schedules are rows

    def delete(self, key: str) -> None:
        return None  # there are no revoke flags

    def notify_interrupted_tasks(self) -> None:
        """Give back what still runs when the consumer ends; such an attempt is not counted."""
        self.stopping.set()
        for running in list(self.in_flight.values()):
            running.stop(Outcome.INTERRUPTED)
            self._settle(running, Ending(Outcome.INTERRUPTED, duration_ms=running.duration_ms))

    def _something_waits(self) -> bool:
        """Look, beginning with the cheapest question: was anything committed, or has anything come due?"""
        version = db.main().version()
        if version == getattr(self._thread, "version", None) and not lifecycle.any_due():
            return False
        self._thread.version = version
        return lifecycle.wait_is_over(self._types)

    def _take(self, claimed: Task) -> HueyTask:
        running = Running(claimed, registry.get(claimed.type).timeout_s)
        task = self._classes[claimed.type](id=claimed.id)
        task.running = running
        task.ending = _BROKEN
        self.in_flight[running.id] = running
        return task

    def _settle(self, running: Running, ending: Ending) -> None:
        """Write the ending; while the database is locked or the disk is full, try again: the work is done."""
        while True:
            try:
                state, claimed = self._settle_once(running.task, ending)
                break
            except LeaseLost:
                if running.stop_reason is not Outcome.INTERRUPTED:  # then it was given back in order
                    logger.warning(
                        "lease lost, outcome not recorded", task=running.id, outcome=ending.outcome
                    )
                self._forget(running)
                return
            except LockedOrFull as error:
                logger.error("outcome not recorded yet", task=running.id, error=str(error))
                time.sleep(_SETTLE_AGAIN_S)
            except Exception as error:  # noqa: BLE001 - or the task would look running for ever; it is logged
                logger.error("outcome cannot be recorded", task=running.id, error=repr(error))
                if ending is _BROKEN:
                    self._forget(running)  # its lease runs out now
                    return
                ending = _BROKEN
        self._forget(running)
        if claimed:
            self._held.append(self._take(claimed))
        self._tell(running.task, ending, state)

    def _settle_once(self, task: Task, ending: Ending) -> tuple[TaskState, Task | None]:
        if self.stopping.is_set():
            return lifecycle.settle(task, ending), None
        return lifecycle.settle_and_claim(task, ending, self.worker_id, self._types)

    def _forget(self, running: Running) -> None:
        if self.in_flight.get(running.id) is running:  # a later attempt may have taken its place
            del self.in_flight[running.id]

    def _tell(self, task: Task, ending: Ending, state: TaskState) -> None:
        if ending.error is not None:
            code, message = ending.error
            unexpected = {"traceback": ending.traceback} if code == UNEXPECTED else {}
            logger.warning("attempt failed", code=code, error=message, then=state, **unexpected)
        for observe in self.observers:
            try:
                observe(task, ending, state)
            except Exception as error:  # noqa: BLE001 - watching must never hurt the work; it is logged
                logger.error("observer failed", observer=repr(observe), error=repr(error))

    def _requeue_task(self, task: HueyTask, timestamp: Any, retry_eta: Any = None) -> None:
        return None  # settle decides about further attempts

    def _runner(self, task_type: registry.TaskType) -> Callable[[HueyTask], None]:
        def run(task: HueyTask) -> None:
            running: Running = task.running
            try:
                with self.around(running):
                    value = task_type.run(task_type.parse(running.task.payload), running)
                task.ending = succeeded(running, value)
            except BaseException as error:
                task.ending = failed(running, error)
                if running.cancelled or isinstance(error, TaskCancelled):
                    raise CancelExecution(retry=False) from error
                if isinstance(error, Exception):
                    raise
                raise RuntimeError(repr(error)) from error  # or Huey's worker thread would end

        return run
