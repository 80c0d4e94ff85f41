"""What an alert rule can look at."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from engine import settings
from engine.queries import alerts as reads
from engine.queries import performance
from engine.queries.performance import Figures, Selection
from engine.records.alerts import Rule

WIDEST_S = 86_400

_Found = TypeVar("_Found")


class Look:
    """One look at everything, at one moment: what several rules ask for is read once."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._read = cache(lambda read, *wanted: read(*wanted))

    def once(self, read: Callable[..., _Found], *wanted: object) -> _Found:
        """Return what a read finds, as it was found first."""
        found: _Found = self._read(read, *wanted)
        return found


@dataclass(frozen=True)
class Measured:
    """A value, how much it counts, and over how long; value None where there was too little."""

    value: float | None
    n: int
    window_s: int


@dataclass(frozen=True)
class Measure:
    """One thing to look at. `below` means that low values are bad; `unit` is for the message."""

    title: str
    unit: str
    read: Callable[[Rule, Look], Measured]
    below: bool = False

    def bad(self, value: float, threshold: float) -> bool:
        """Tell whether a value is beyond the threshold."""
        return value < threshold if self.below else value > threshold


def measure(name: str) -> Measure:
    """Return a measure; one that this version does not know has no values."""
    return MEASURES.get(name) or Measure(
        f"Unknown measure {name}", "", lambda rule, look: Measured(None, 0, 0)
    )


def figure(value: float) -> str:
    """Write a measured value with three digits, or with all that stand before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def exact(threshold: float) -> str:
    """Write a threshold as it was given."""
    return f"{threshold:,.12g}"


def in_unit(rule: Rule, number: str) -> str:
    """Put the unit of what a rule looks at after a number: `6,518 ms`."""
    return f"{number} {measure(rule.measure).unit}".rstrip()


def side(rule: Rule) -> str:
    """Say on which side of its threshold a rule's value is bad."""
    return "below" if measure(rule.measure).below else "above"


def title_of(rule: Rule) -> str:
    """Say what a rule looks at: `p95 of requests of /orders`."""
    where = f" of {rule.name or rule.service}" if rule.name or rule.service else ""
    return measure(rule.measure).title + where


def alarm_of(rule: Rule) -> str:
    """Say when a value is bad: `above 500 ms`."""
    return f"{side(rule)} {in_unit(rule, exact(rule.threshold))}"


def in_words(rule: Rule) -> str:
    """Say when a rule opens an alert."""
    return f"{title_of(rule)} {alarm_of(rule)}, {rule.to_open} times in a row"


def _figure(pick: Callable[[Figures], float | None], kind: str = "http") -> Callable[[Rule, Look], Measured]:
    """Read a figure of the rollups; the window widens until it holds enough to mean something.

    Where the rule's own window holds nothing at all there is no value: older units were judged already.
    """

    def read(rule: Rule, look: Look) -> Measured:
        window_s = rule.window_s
        while True:
            selection = Selection(look.now_ms - window_s * 1000, look.now_ms, kind, rule.service, rule.name)
            found = look.once(performance.figures, selection.snapped())
            if found.n and found.n >= rule.least_n:
                return Measured(pick(found), found.n, window_s)
            if not found.n or window_s >= WIDEST_S:
                return Measured(None, found.n, window_s)
            window_s = min(window_s * 4, WIDEST_S)

    return read


def _oldest_waiting(rule: Rule, look: Look) -> Measured:
    value, n = look.once(reads.oldest_waiting_s, look.now_ms)
    return Measured(value, n, 0)


def _stalled(rule: Rule, look: Look) -> Measured:
    n = look.once(reads.stalled_tasks, look.now_ms)
    return Measured(n, n, 0)


def _missed(rule: Rule, look: Look) -> Measured:
    n = look.once(reads.missed_occurrences, look.now_ms - rule.window_s * 1000)
    return Measured(n, n, rule.window_s)


def _not_recorded(rule: Rule, look: Look) -> Measured:
    n = look.once(reads.units_not_recorded, look.now_ms - rule.window_s * 1000)
    return Measured(n, n, rule.window_s)


def _disk(rule: Rule, look: Look) -> Measured:
    usage = shutil.disk_usage(settings.get().data_dir)
    return Measured(100 * (usage.total - usage.free) / usage.total, 1, 0)


MEASURES: dict[str, Measure] = {
    "p95": Measure("p95 of requests", "ms", _figure(lambda f: f.p95_ms)),
    "error_rate": Measure("Error rate of requests", "%", _figure(lambda f: _percent(f.error_rate))),
    "apdex": Measure("Apdex of requests", "", _figure(lambda f: f.apdex), below=True),
    "page_p95": Measure("p95 of page runs", "ms", _figure(lambda f: f.p95_ms, "run")),
    "queue_wait_p95": Measure("p95 of the wait of tasks", "ms", _figure(lambda f: f.p95_ms, "wait")),
    "task_failures": Measure("Failed task attempts", "%", _figure(lambda f: _percent(f.error_rate), "task")),
    "oldest_waiting": Measure("Age of the oldest waiting task", "s", _oldest_waiting),
    "stalled": Measure("Running tasks without a heartbeat", "", _stalled),
    "missed_occurrences": Measure("Skipped due times of schedules", "", _missed),
    "not_recorded": Measure("Units the monitor dropped or lost", "", _not_recorded),
    "disk": Measure("Disk used", "%", _disk),
}


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
