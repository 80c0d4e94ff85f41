"""What `huey_consumer engine.worker.huey` runs: the assembly of a worker, with the right defaults."""

import secrets
from collections.abc import Mapping
from typing import Any

from huey.consumer import Consumer
from huey.consumer_options import config_defaults

from engine import log, registry, settings, tasks
from engine.lib import child, processes
from engine.queue import OffloadHuey
from engine.queue.pulse import Duty, Pulse

DUTIES: Mapping[str, Duty] = {}

_DEFAULTS: Mapping[str, Any] = {
    "worker_type": "thread",
    "initial_delay": 0.02,
    "max_delay": 0.1,
    "health_check_interval": 1,
    "graceful_signal": "TERM",
    "periodic": False,
}


class Worker(Consumer):  # type: ignore[misc]
    """A consumer that is registered, beats, and gives back on the way out what it could not finish."""

    def __init__(self, huey: OffloadHuey, **options: Any) -> None:
        log.take_over("huey")
        chosen = with_our_defaults(options)
        super().__init__(huey, **chosen)
        self._pulse = Pulse(huey, chosen["workers"], DUTIES)

    def start(self) -> None:
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
            self._pulse.stop()


def with_our_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Replace each option that equals Huey's own default by ours; what ops chose otherwise stays."""
    stock = dict(config_defaults)
    ours = {
        **_DEFAULTS,
        "workers": settings.get().workers,
        "shutdown_timeout": settings.get().shutdown_s,
    }
    return {**ours, **{name: value for name, value in options.items() if value != stock.get(name)}}


def build() -> OffloadHuey:
    """Assemble the Huey object of this process."""
    log.configure("worker")
    tasks.load()
    made = OffloadHuey(Worker)
    made.worker_id = f"{processes.host()}-{processes.pid()}-{secrets.token_hex(3)}"
    made.adopt(registry.all_types())
    return made


huey = build()
