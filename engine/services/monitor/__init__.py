"""The monitor: record units of work into `metrics.db` without making the work wait.

`record` takes a unit that ended; a thread of its own writes it. What cannot be kept is counted. An error in
here is logged and counted, and never reaches the work that is measured.
"""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import perf_counter_ns

from engine import clock, log, settings
from engine.lib import trace
from engine.records import db, recorders
from engine.services.monitor.beat import beat, close_dead_recorders
from engine.services.monitor.unit import CALL, FRAGMENT, HTTP, RUN, STREAM, TASK, Heavy, Unit
from engine.services.monitor.writer import Recorder
from engine.words import Actor

__all__ = [
    "CALL",
    "FRAGMENT",
    "HTTP",
    "RUN",
    "STREAM",
    "TASK",
    "Heavy",
    "Unit",
    "beat",
    "close_dead_recorders",
    "flush",
    "mark_deploy",
    "measure",
    "name_process",
    "record",
    "start",
    "stop",
]

_log = log.get(__name__)

_lock = Lock()
_recorder: Recorder | None = None
_held: Recorder | None = None
"""At rest while the process forks; by then another may have taken its place."""
_named: str | None = None


def name_process(service: str) -> None:
    """Record under this name what has none of its own: outbound calls, `measure`, the recorder itself.

    Hears of calls from now on, so that those of the very first request count.
    """
    global _named
    _named = service
    _listen(True)


def record(unit: Unit) -> None:
    """Hand over a unit that ended. Never waits, never raises for want of a database or a thread."""
    recorder = _recorder or _begin()
    if recorder is not None:
        recorder.put(unit)


@contextmanager
def measure(
    kind: str,
    name: str,
    *,
    method: str = "",
    correlation_id: str | None = None,
    parent_id: str | None = None,
    actor: Actor | None = None,
    wait_us: int = 0,
) -> Iterator[Unit]:
    """Run the block as one unit, with its queries and operations; an exception makes it a failure.

    What is no `Exception` (Streamlit's rerun and stop, a cancelled task) only ends it. The block may set
    `outcome`, `failed`, `error`, `detail` of the unit. `wait_us` is how long the unit had to wait before it
    began; for tasks that is a series of its own.
    """
    _begin()
    with trace.collect() as traced:
        unit = Unit(_service(), kind, name, traced)
        unit.method, unit.wait_us, unit.parent_id = method, wait_us, parent_id
        unit.correlation_id = correlation_id or log.correlation_id() or ""
        if actor is not None:
            unit.user, unit.role = actor.name, actor.role.value
        try:
            yield unit
        except Exception as error:
            unit.failed = True
            unit.error = unit.error or type(error).__name__
            raise
        except BaseException:
            unit.outcome = unit.outcome or "stopped"
            raise
        finally:
            unit.duration_us = (perf_counter_ns() - traced.started_ns) // 1000
            record(unit)


def start() -> Recorder:
    """Begin to record in this process, if that has not happened; opens nothing in the calling thread."""
    global _recorder
    with _lock:
        if _recorder is None:
            _recorder = Recorder(_service())
            _listen(True)
        return _recorder


def flush() -> None:
    """Write what has been recorded so far, in the calling thread (tests, and before reading one's own)."""
    if _recorder is not None:
        _recorder.flush()


def stop() -> None:
    """Write the rest and stop recording; the next `record` would start anew."""
    global _recorder
    with _lock:
        recorder, _recorder = _recorder, None
        _listen(False)
    if recorder is not None:
        recorder.stop()


def reset() -> None:
    """Forget this process's recorder without writing (tests)."""
    global _named, _recorder
    recorder, _recorder, _named = _recorder, None, None
    _listen(False)
    if recorder is not None:
        recorder.abandon()


def mark_deploy(
    version: str, note: str = "", *, service: str | None = None, at_ms: int | None = None
) -> None:
    """Mark on the charts that something changed at a moment, now unless given."""
    with db.metrics().write() as tx:
        recorders.mark_deploy(
            tx,
            at_ms=clock.now_ms() if at_ms is None else at_ms,
            service=service or _service(),
            version=version,
            note=note,
        )


def _begin() -> Recorder | None:
    """Start, unless the process has all threads it may have, or is about to end: the work goes on then."""
    try:
        return start()
    except RuntimeError as error:
        _log.warning("monitor_not_started", error=str(error))
        return None


def _service() -> str:
    return _named or settings.get().service


def _before_fork() -> None:
    global _held
    _held = _recorder
    if _held is not None:
        _held.hold()


def _after_fork_in_parent() -> None:
    if _held is not None:
        _held.release()


def _after_fork() -> None:
    global _lock, _recorder
    _lock = Lock()  # another thread of the parent may have held it
    recorder, _recorder = _recorder, None
    _listen(_named is not None)
    if recorder is not None:
        recorder.let_go()


def _listen(on: bool) -> None:
    """Hear of outbound calls while this process records."""
    trace.on_operation[:] = [listener for listener in trace.on_operation if listener is not _call_ended]
    if on:
        trace.on_operation.append(_call_ended)


def _call_ended(operation: trace.Operation) -> None:
    """Record an outbound call as a unit of its own, beside its place in the unit around it."""
    if operation.kind != CALL:
        return
    unit = Unit(_service(), CALL, operation.name)
    unit.at_ms -= operation.duration_us // 1000
    unit.duration_us = operation.duration_us
    unit.failed = operation.failed
    unit.error = operation.detail if operation.failed else ""
    unit.correlation_id = log.correlation_id() or ""
    record(unit)


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
atexit.register(stop)
