"""What `huey_consumer engine.worker.huey` runs: the assembly of a worker, with the right defaults."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from huey.consumer import Consumer
from huey.consumer_options import config_defaults

from engine import log, registry, settings, tasks
from engine.errors import InvalidInput, TaskCancelled
from engine.lib import child, processes
from engine.queue import OffloadHuey, Running
from engine.queue.pulse import Duty, Pulse
from engine.services import alerts, monitor, regressions, schedules
from engine.services.reports.delivery import RENDERING
from engine.words import Outcome

DUTIES: Mapping[str, Duty] = {
    "schedules": schedules.enqueue_due,
    "monitor": monitor.beat,
    "alerts": alerts.beat,
    "regressions": regressions.beat,
}
"""What the beat of a worker does every second beside rescuing; each decides itself whether it is its turn."""

_DEFAULTS: Mapping[str, Any] = {
    "worker_type": "thread",
    "initial_delay": 0.02,
    "max_delay": 0.1,
    "health_check_interval": 1,
    "graceful_signal": "TERM",
    "periodic": False,
}


_FAILED_ATTEMPT = "Unhandled exception in task"
"""Huey logs a traceback for each failed attempt; the queue says the same in a line that fits the failure."""


class Worker(Consumer):  # type: ignore[misc]
    """A consumer that is registered, beats, and gives back on the way out what it could not finish."""

    def __init__(self, huey: OffloadHuey, **options: Any) -> None:
        log.take_over("huey", but=_FAILED_ATTEMPT)
        try:
            chosen = with_our_defaults(options)
        except InvalidInput as error:  # huey_consumer would show a traceback
            raise SystemExit(f"Error: {error.message}") from error
        super().__init__(huey, **chosen)
        self._pulse = Pulse(huey, chosen["workers"], DUTIES)

    def start(self) -> None:
        child.prepare(RENDERING)
        self._pulse.start()
        super().start()

    def stop(self, graceful: bool = False) -> None:
        self.huey.stopping.set()
        super().stop(graceful)

    def run(self) -> None:
        try:
            super().run()
        finally:
            child.forget()
            monitor.stop()
            self._pulse.stop()


def with_our_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Replace each option that equals Huey's own default by ours; what ops chose otherwise stays."""
    stock = dict(config_defaults)
    if options.get("worker_type", "thread") != "thread":
        raise InvalidInput(
            "Offload runs tasks in threads, and heavy work in child processes; leave out --worker-type."
        )
    if options.get("workers", 1) < 1:
        raise InvalidInput("A consumer has at least one worker thread; --workers is how many.")
    ours = {
        **_DEFAULTS,
        "workers": settings.get().workers,
        "shutdown_timeout": settings.get().shutdown_s,
    }
    return {**ours, **{name: value for name, value in options.items() if value != stock.get(name)}}


@contextmanager
def measured(running: Running) -> Iterator[None]:
    """Record an attempt as a unit of work; one that was asked to stop did not fail."""
    wait_ms = (running.task.started_at_ms or 0) - (running.task.queued_at_ms or running.task.created_at_ms)
    stopped: TaskCancelled | None = None
    with monitor.measure(
        monitor.TASK, running.type, correlation_id=running.correlation_id, wait_us=max(0, wait_ms) * 1000
    ) as unit:
        unit.user = running.owner
        try:
            yield
            unit.outcome = Outcome.SUCCEEDED
        except TaskCancelled as error:
            unit.outcome, stopped = running.stop_reason or Outcome.CANCELLED, error
        except Exception:
            unit.outcome = Outcome.FAILED
            raise
    if stopped:
        raise stopped


def build() -> OffloadHuey:
    """Assemble the Huey object of this process."""
    log.configure("worker", level=settings.get().log_level)
    tasks.load()
    made = OffloadHuey(Worker)
    made.worker_id = f"{processes.host()}-{processes.pid()}-{secrets.token_hex(3)}"
    made.around = measured
    made.adopt(registry.all_types())
    return made


huey = build()
