"""One attempt in this process: what `registry.TaskHandle` promises, backed by the claimed row."""

import threading
from collections import deque

from engine import clock, lifecycle, log
from engine.errors import LeaseLost, TaskCancelled, TransientFailure
from engine.records.db import LockedOrFull
from engine.records.tasks import Task
from engine.words import Outcome

_LOG_LINES = 200
_LINE_CHARS = 1_000
_PROGRESS_EVERY_S = 0.1
"""Each progress write costs a disk flush; ten a second are enough for any screen."""

logger = log.get(__name__)


class Running:
    """The handle given to the task's function. Other threads call `stop` and read `lines`."""

    def __init__(self, task: Task, timeout_s: float) -> None:
        self.task = task
        self.lines: deque[str] = deque(maxlen=_LOG_LINES)
        self.has_new_lines = False
        self.stop_reason: Outcome | None = None
        self.cpu_ms: int | None = None
        self.peak_memory_bytes: int | None = None
        self._began = clock.elapsed()
        self._deadline = self._began + timeout_s
        self._stop = threading.Event()
        self._told: tuple[int, str] = (-1, "")
        self._shown: tuple[int, str] = (-1, "")
        self._shown_at = float("-inf")

    @property
    def id(self) -> str:
        return self.task.id

    @property
    def type(self) -> str:
        return self.task.type

    @property
    def attempt(self) -> int:
        return self.task.attempt

    @property
    def owner(self) -> str:
        return self.task.owner

    @property
    def correlation_id(self) -> str:
        return self.task.correlation_id

    @property
    def cancelled(self) -> bool:
        return self._stop.is_set()

    @property
    def remaining_s(self) -> float:
        return max(0.0, self._deadline - clock.elapsed())

    @property
    def duration_ms(self) -> int:
        return int((clock.elapsed() - self._began) * 1000)

    @property
    def log_text(self) -> str:
        return "\n".join(self.lines)

    def stop(self, reason: Outcome) -> None:
        """Ask the attempt to stop; the first reason counts."""
        if not self._stop.is_set():
            self.stop_reason = reason
            self._stop.set()

    def progress(self, percent: int, note: str = "") -> None:
        self.check()
        if percent >= self._told[0]:
            self._told = int(percent), note
        self.show_progress()
        self.check()

    def show_progress(self) -> None:
        """Write the last progress told, unless one was written just now: then the pulse calls again soon."""
        now, told = clock.elapsed(), self._told
        if told == self._shown or now - self._shown_at < _PROGRESS_EVERY_S:
            return
        self._shown, self._shown_at = told, now
        try:
            lifecycle.progress(self.task, *told)
        except LeaseLost:
            self.stop(Outcome.DIED)
        except LockedOrFull as error:  # the work goes on; whether it can be recorded is seen at its end
            logger.warning("progress not written", task=self.id, error=str(error))

    def log(self, text: str) -> None:
        stamp = clock.now().strftime("%H:%M:%S.%f")[:-3]
        self.lines.extend(f"{stamp} {line[:_LINE_CHARS]}" for line in str(text).splitlines())
        self.has_new_lines = True

    def check(self) -> None:
        if self.cancelled:
            raise TaskCancelled
        if self.remaining_s <= 0:
            raise TransientFailure("The task ran longer than its type allows.", code="timed_out")

    def mark_sent(self) -> None:
        lifecycle.mark_sent(self.task)

    def used(self, *, cpu_ms: int, peak_memory_bytes: int) -> None:
        self.cpu_ms = (self.cpu_ms or 0) + cpu_ms
        self.peak_memory_bytes = max(self.peak_memory_bytes or 0, peak_memory_bytes)
