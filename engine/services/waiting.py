"""Why is it waiting? One sentence for any waiting task, with an estimate where there is a measurement.

And is it really running? A sentence where that is in doubt.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from engine import clock, registry
from engine.queries import waiting as reads
from engine.records import flags
from engine.records.tasks import Task
from engine.words import TaskState

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_SHARES = 0.5, 0.1, 0.9
"""Median, first and last decile."""


@dataclass(frozen=True)
class Reason:
    """Why a task waits. `code` is stable; the estimate is from measured durations, None if not known.

    `low_s` and `high_s` bound the estimate if every task before it took its first or last decile.
    """

    code: str
    sentence: str
    estimate_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    n_measured: int = 0


def why(task: Task, zone: tzinfo) -> Reason | None:
    """Explain a waiting task, times of day in the given zone; None for one that does not wait."""
    if not task.state.waiting:
        return None
    return _not_due(task, zone) or _paused(task, zone) or _no_worker(task) or _limited(task) or _in_line(task)


def doubt(task: Task, zone: tzinfo) -> str:
    """Say that a running task is possibly aborted, and what comes next; empty where there is no doubt."""
    now_ms, lease_ms = clock.now_ms(), task.lease_until_ms or 0
    if not task.stalled(now_ms):
        return ""
    silent = duration_in_words(flags.silent_ms(lease_ms, now_ms) / 1000)
    at = clock.from_ms(lease_ms).astimezone(zone)
    ends = f"{at:%H:%M:%S} {at:%Z}"
    if lease_ms >= now_ms:
        then = f"goes back to the queue at {ends} when the lease ends"
    else:
        then = f"the lease ended at {ends}, and the next live worker takes it over"
    crew = reads.crew(task.type)
    act = "Nobody must act." if crew.ids or crew.n_others else "No worker is alive to do so: ./offload up"
    return f"Possibly aborted: no heartbeat for {silent}; {then}. {act}"


def duration_in_words(seconds: float) -> str:
    """Say a duration in its largest fitting unit."""
    s = max(0, round(seconds))
    if s < 2 * _MINUTE:
        return f"{s} s"
    if s < 2 * _HOUR:
        return f"{round(s / _MINUTE)} min"
    return f"{round(s / _HOUR)} h" if s < 2 * _DAY else f"{round(s / _DAY)} days"


def _not_due(task: Task, zone: tzinfo) -> Reason | None:
    wait_s = (task.due_at_ms - clock.now_ms()) / 1000
    if wait_s <= 0 or task.state is TaskState.QUEUED:
        return None
    if task.state is TaskState.SCHEDULED:
        at = clock.from_ms(task.due_at_ms).astimezone(zone)
        sentence = f"Scheduled for {at:%d %b %H:%M} {at:%Z}, in {duration_in_words(wait_s)}."
        return Reason("scheduled", sentence, wait_s, wait_s, wait_s)
    tries = (
        f"Retry {task.failures} of {task.max_attempts - 1}" if task.failures else "Deferred; it runs again"
    )
    because = f" after: {task.error_message}" if task.error_message else ""
    sentence = f"{tries} in {duration_in_words(wait_s)}{because}"
    return Reason("retry", sentence.rstrip(".") + ".", wait_s, wait_s, wait_s)


def _paused(task: Task, zone: tzinfo) -> Reason | None:
    task_type = registry.find(task.type)
    pause = None if task_type and task_type.system else reads.pause_of(task.type)
    if pause is None:
        return None
    what = "The queue" if pause.scope == "*" else f"The type {pause.scope}"
    at = clock.from_ms(pause.paused_at_ms).astimezone(zone)
    note = f": {pause.note}" if pause.note else ""
    return Reason("paused", f"{what} was paused by {pause.paused_by} at {at:%H:%M} {at:%Z}{note}.")


def _no_worker(task: Task) -> Reason | None:
    crew = reads.crew(task.type)
    if crew.ids:
        return None
    if crew.n_others:
        return Reason("no_code", f"No live worker has the code of the type {task.type}; update the workers.")
    if crew.last_heartbeat_at_ms is None:
        return Reason("no_worker", "No worker has ever run. Start one: ./offload up")
    silent = duration_in_words((clock.now_ms() - crew.last_heartbeat_at_ms) / 1000)
    return Reason("no_worker", f"No worker has been alive for {silent}. Start one: ./offload up")


def _limited(task: Task) -> Reason | None:
    task_type = registry.find(task.type)
    if task_type is None or task_type.max_running is None:
        return None
    running = reads.running("type", [task.type])
    if len(running) < task_type.max_running:
        return None
    line = reads.ahead(task, [task.type])
    estimate = _estimate(line, running, task_type.max_running)
    sentence = (
        f"{task_type.max_running} tasks of the type {task.type} run already, as many as may; "
        f"{_places(line)}{_about(estimate)}."
    )
    return Reason("limit", sentence, *estimate)


def _in_line(task: Task) -> Reason:
    line, crew = reads.ahead(task, [t.name for t in registry.all_types()]), reads.crew(task.type)
    running, n_threads = reads.running("worker_id", crew.ids), max(1, crew.n_threads)
    estimate = _estimate(line, running, n_threads)
    busy = f"; all {n_threads} threads are busy" if len(running) >= n_threads else ""
    place = _places(line)
    return Reason("queue", f"{place[:1].upper()}{place[1:]}{busy}{_about(estimate)}.", *estimate)


_Estimate = tuple[float | None, float | None, float | None, int]


def _estimate(line: Mapping[str, int], running: Sequence[reads.Running], n_places: int) -> _Estimate:
    """Return median, low and high of the seconds until a place is free, and from how many durations."""
    if not line and len(running) < n_places:
        return 0.0, 0.0, 0.0, 0
    known = reads.durations(list({*line, *(task.type for task in running)}))
    if set(line) - set(known):
        return None, None, None, 0
    median, low, high = (_free_after_s(line, running, n_places, known, share) for share in _SHARES)
    if median is None:
        return None, None, None, 0
    return median, low, high, sum(len(durations.sorted_ms) for durations in known.values())


def _free_after_s(
    line: Mapping[str, int],
    running: Sequence[reads.Running],
    n_places: int,
    known: Mapping[str, reads.Durations],
    share: float,
) -> float | None:
    """Let those ahead take the places as these become free, and return when the next one is; None if unknown.

    What runs and was never measured, or has run longer than any before it, is taken to keep its place.
    """

    def lasts_ms(name: str, elapsed_ms: int = 0) -> float:
        return known[name].remaining_ms(elapsed_ms, share) if name in known else math.inf

    ends = sorted(lasts_ms(task.type, task.elapsed_ms) for task in running)
    places = [0.0] * (n_places - len(ends)) + ends[-n_places:]  # sorted, so it is a heap
    for name, n in line.items():
        for _ in range(n):
            heapq.heapreplace(places, places[0] + lasts_ms(name))
    return places[0] / 1000 if places[0] < math.inf else None


def _places(line: dict[str, int]) -> str:
    n = sum(line.values())
    if n == 0:
        return "next in line"
    return f"{'at least ' if n >= reads.COUNTED else ''}{n:,} ahead"


def _about(estimate: _Estimate) -> str:
    median, low, high, n = estimate
    if median is None:
        return "; how long that takes is not known"
    if low is None or high is None or not n:
        return ""
    span = f"{duration_in_words(low)} to {duration_in_words(high)}"
    return f", about {duration_in_words(max(1, median))} ({span}, from {n} measured)"
