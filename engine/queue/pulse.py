"""The pulse of a consumer: heartbeat, cancel flags, and every second the duties that keep order."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict

from engine import __version__, clock, lifecycle, log, settings
from engine.lib import processes
from engine.queue import OffloadHuey
from engine.records import db, tasks, workers
from engine.records.db import LockedOrFull, Row
from engine.words import Outcome

Duty = Callable[[], object]

_WATCH_S = 0.05
"""How often the cancel flags of running tasks are read: the larger part of the time a cancel takes."""
_CLOCK_JUMP_S = 2.0
_LAST_BEAT_S = 5.0
_AGAIN_S = 1.0

logger = log.get(__name__)


class Pulse:
    """Keeps one consumer process registered and its leases renewed; `duties` run on its scheduler's beat."""

    def __init__(self, huey: OffloadHuey, threads: int, duties: Mapping[str, Duty]) -> None:
        self._huey = huey
        self._threads = threads
        self._duties = duties
        self._stop = threading.Event()
        self._meter = processes.Meter()
        self._wall_minus_elapsed = self._drift()
        self._leases_trusted_from = clock.elapsed()
        self._wrote_at = clock.elapsed()
        self._thread = threading.Thread(target=self._watch, name="pulse", daemon=True)

    def start(self) -> None:
        """Register the worker and begin to beat. The row is written before anything is claimed."""
        now_ms = clock.now_ms()
        with db.main().write() as tx:
            workers.register(
                tx,
                {
                    "id": self._huey.worker_id,
                    "host": processes.host(),
                    "host_key": processes.host_key(),
                    "pid": processes.pid(),
                    "start_ticks": processes.start_ticks(),
                    "threads": self._threads,
                    "version": __version__,
                    "types": self._huey.type_names,
                    "started_at_ms": now_ms,
                },
            )
            tasks.pull_in_after_clock_change(tx, now_ms, self._lease_until_ms())
        self._huey.on_beat = self.beat
        self._thread.start()

    def stop(self) -> None:
        """Write that the worker has stopped in order."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_LAST_BEAT_S)  # a beat after the next line would bring the worker back to life
        with db.main().write() as tx:
            workers.stop(tx, self._huey.worker_id, clock.now_ms(), "shut down")

    def beat(self) -> None:
        """Run every duty once; one that fails is logged and holds up no other."""
        self._notice_clock_jump()
        for name, duty in {
            "rescue": self._rescue,
            "expiry": lifecycle.expire_waiting,
            **self._duties,
        }.items():
            try:
                duty()
            except Exception as error:  # noqa: BLE001 - the beat of a consumer must go on; it is logged
                logger.error("duty failed", duty=name, error=repr(error))

    def _watch(self) -> None:
        next_heartbeat = clock.elapsed()
        while not self._stop.wait(_WATCH_S):  # also when idle: a task may be cancelled as soon as it began
            try:
                self._pass_on_cancels()
                if clock.elapsed() >= next_heartbeat:
                    next_heartbeat = clock.elapsed() + settings.get().beat_s
                    self._heartbeat()
            except LockedOrFull as error:
                logger.error("heartbeat not written", error=str(error))
                next_heartbeat = clock.elapsed() + _AGAIN_S
            except Exception as error:  # noqa: BLE001 - without this thread all leases would run out; it is logged
                logger.error("pulse failed", error=repr(error))

    def _pass_on_cancels(self) -> None:
        in_flight = list(self._huey.in_flight.values())
        if not in_flight:
            return
        rows = tasks.running_tokens(db.main(), self._huey.worker_id)
        for running in in_flight:
            token, asked = rows.get(running.id, (None, False))
            if asked:
                running.stop(Outcome.CANCELLED)
            elif token != running.task.token and self._huey.in_flight.get(running.id) is running:
                running.stop(Outcome.DIED)
        for running in in_flight:
            running.show_progress()

    def _heartbeat(self) -> None:
        now_ms = clock.now_ms()
        usage = asdict(self._meter.read())
        with db.main().write() as tx:
            tasks.renew(tx, self._huey.worker_id, list(self._huey.in_flight), self._lease_until_ms())
            workers.beat(tx, self._huey.worker_id, now_ms, usage)
        if clock.elapsed() - self._wrote_at > settings.get().lease_s / 2:
            self._trust_leases_later()  # perhaps nobody could write: let the others renew theirs first
        self._wrote_at = clock.elapsed()
        for running in list(self._huey.in_flight.values()):
            if running.has_new_lines:
                running.has_new_lines = False
                lifecycle.keep_log(running.task, running.log_text)

    def _rescue(self) -> None:
        lease_s = settings.get().lease_s
        could_write = clock.elapsed() - self._wrote_at < lease_s / 2
        trusted = could_write and clock.elapsed() >= self._leases_trusted_from
        lifecycle.rescue(self._is_gone, trust_leases=trusted)

    def _is_gone(self, row: Row) -> bool:
        """Whether a worker's process is known to be dead, or is this one before it began anew (SIGHUP)."""
        if row["host_key"] != processes.host_key():
            return False
        if row["pid"] == processes.pid():
            return bool(row["id"] != self._huey.worker_id)
        return not processes.is_alive(row["pid"], row["start_ticks"])

    def _notice_clock_jump(self) -> None:
        """After a jump of the wall clock leases look too old or too long: wait until all are renewed."""
        drift = self._drift()
        if abs(drift - self._wall_minus_elapsed) > _CLOCK_JUMP_S:
            logger.warning("the clock jumped", seconds=round(drift - self._wall_minus_elapsed, 1))
            self._trust_leases_later()
            with db.main().write() as tx:
                tasks.pull_in_after_clock_change(tx, clock.now_ms(), self._lease_until_ms())
        self._wall_minus_elapsed = drift

    def _trust_leases_later(self) -> None:
        self._leases_trusted_from = clock.elapsed() + settings.get().lease_s

    @staticmethod
    def _lease_until_ms() -> int:
        return clock.now_ms() + int(settings.get().lease_s * 1000)

    @staticmethod
    def _drift() -> float:
        return clock.now_ms() / 1000 - clock.elapsed()
