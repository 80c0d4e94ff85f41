"""The load all schedules together will make over the next days, from their plans and measured durations."""

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from engine import clock, settings
from engine.lib import cron
from engine.queries import schedules as reads
from engine.records.schedules import Schedule
from engine.words import Actor

DAYS = 7
MINUTE_MS = 60_000
_MEASURED_D = 30
"""Days of attempts the usual durations are taken from."""
_BUSIEST = 10

Duration = tuple[int, str]
"""Milliseconds, and where they come from: `schedule`, `type`, or `none`."""


@dataclass(frozen=True)
class Forecast:
    """Tasks and busy workers by minute. An estimate: plans, median durations, jitter and overlap left out."""

    since_ms: int
    runs: list[int]
    """Tasks becoming due in each minute from `since_ms`."""
    busy: list[float]
    """Workers those tasks keep busy in each minute, if all start when they are due."""
    n_threads: int
    """Tasks the workers now alive can run at a time; 0 when none is alive."""
    n_schedules: int
    n_measured: int
    """Schedules with a measured duration of their own or of their task type; the others count as no time."""

    @property
    def total(self) -> int:
        return sum(self.runs)

    def at_ms(self, minute: int) -> int:
        """Return when a minute of the forecast begins."""
        return self.since_ms + minute * MINUTE_MS

    def busiest(self) -> list[tuple[int, int]]:
        """Return the minutes with the most tasks, most first, as (milliseconds, tasks)."""
        order = sorted((-n, minute) for minute, n in enumerate(self.runs) if n)[:_BUSIEST]
        return [(self.at_ms(minute), -n) for n, minute in order]

    def full(self) -> list[tuple[int, int]]:
        """Return when all workers would be busy, as intervals [from, to) in milliseconds."""
        if not self.n_threads:
            return []
        marked = groupby(enumerate(self.busy), key=lambda item: item[1] >= self.n_threads)
        found = []
        for is_full, members in marked:
            minutes = [minute for minute, _ in members]
            if is_full:
                found.append((self.at_ms(minutes[0]), self.at_ms(minutes[-1] + 1)))
        return found

    def hours(self) -> list[dict[str, Any]]:
        """Return a row for each hour: tasks in it, the most in one of its minutes, the most busy workers."""
        return [
            {
                "at_ms": self.at_ms(start),
                "runs": sum(self.runs[start : start + 60]),
                "most_per_minute": max(self.runs[start : start + 60]),
                "busy": max(self.busy[start : start + 60]),
            }
            for start in range(0, len(self.runs), 60)
        ]

    def document(self) -> dict[str, Any]:
        """Return the JSON shape of the forecast, by the hour."""
        return {
            "since": clock.iso(self.since_ms),
            "days": DAYS,
            "total": self.total,
            "n_schedules": self.n_schedules,
            "n_measured": self.n_measured,
            "n_threads": self.n_threads,
            "busiest": [{"at": clock.iso(at_ms), "runs": n} for at_ms, n in self.busiest()],
            "full": [{"from": clock.iso(begin), "to": clock.iso(end)} for begin, end in self.full()],
            "hours": [
                {**{k: v for k, v in row.items() if k != "at_ms"}, "at": clock.iso(row["at_ms"])}
                for row in self.hours()
            ],
        }


def forecast(actor: Actor, *, days: int = DAYS) -> Forecast:
    """Work out the load of the schedules the actor may see over the coming days."""
    now_ms = clock.now_ms()
    since_ms = now_ms - now_ms % MINUTE_MS
    n_minutes = days * 1440
    plans = reads.plans(actor)
    durations = _durations(plans, now_ms)
    groups = Counter((s.cron, s.zone, s.starts_at_ms, s.ends_at_ms, durations[s.id][0]) for s in plans)
    runs, busy_ms = [0] * n_minutes, [0] * (n_minutes + 1)
    until_ms = since_ms + n_minutes * MINUTE_MS - 1
    for (text, zone, starts_at_ms, ends_at_ms, duration_ms), n in groups.items():
        begin_ms = max(since_ms, starts_at_ms or 0) - 1
        end_ms = min(until_ms, until_ms if ends_at_ms is None else ends_at_ms)
        for at_s in cron.all_between(text, zone, begin_ms, end_ms) if begin_ms < end_ms else ():
            minute = (at_s * 1000 - since_ms) // MINUTE_MS
            runs[minute] += n
            _keep_busy(busy_ms, minute, n, duration_ms)
    return Forecast(
        since_ms,
        runs,
        [spent / MINUTE_MS for spent in busy_ms[:n_minutes]],
        reads.n_threads(now_ms - int(settings.get().lease_s * 1000)),
        len(plans),
        sum(source != "none" for _, source in durations.values()),
    )


def _durations(plans: list[Schedule], now_ms: int) -> dict[str, Duration]:
    by_schedule, by_type = reads.usual_durations(now_ms - _MEASURED_D * 86_400_000)
    found: dict[str, Duration] = {}
    for schedule in plans:
        if schedule.id in by_schedule:
            found[schedule.id] = (by_schedule[schedule.id], "schedule")
        elif schedule.type in by_type:
            found[schedule.id] = (by_type[schedule.type], "type")
        else:
            found[schedule.id] = (0, "none")
    return found


def _keep_busy(busy_ms: list[int], minute: int, n: int, duration_ms: int) -> None:
    """Spread the time of `n` tasks that start in a minute over that minute and the following ones."""
    while duration_ms > 0 and minute < len(busy_ms):
        spent = min(duration_ms, MINUTE_MS)
        busy_ms[minute] += n * spent
        duration_ms -= spent
        minute += 1
