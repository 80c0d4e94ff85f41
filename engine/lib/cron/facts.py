"""What an expression amounts to, in words and numbers: by arithmetic over its fields, not by running it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from engine.lib.cron.grammar import MONTHS, WEEKDAYS, Expression

YEAR_DAYS = 365
GAP_DAYS = 3653
"""Gaps are looked for in ten years, so that yearly and leap-day jobs have one."""
SEARCH_DAYS = 41 * 366
"""29 February on a given weekday returns after 28 years, or 40 across 2100: then it is certain."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often a job is due by the calendar, clock changes left out; gaps in seconds."""

    per_hour: int
    """Runs in each hour in which it runs at all."""
    per_day: int
    """Runs on each day on which it runs at all."""
    per_year: int
    """Runs in the 365 days from `since`."""
    days_per_year: int
    shortest_gap_s: int | None
    longest_gap_s: int | None
    usual_gap_s: int | None
    """The most frequent gap; all three over ten years from `since`, None with fewer than two runs there."""
    busiest_hour: int | None
    """Hour of the day (0-23) with the most runs in the 365 days; the first of equals, None without a run."""
    busiest_hours: tuple[int, ...]
    """Every hour that has as many."""
    since: str

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"busiest_hours": list(self.busiest_hours)}


def frequency(expression: Expression, since: date) -> Frequency:
    """Count runs and gaps from a local date on: |minutes| x |hours| x matching days."""
    per_hour = len(expression.minutes)
    per_day = per_hour * len(expression.hours)
    days = list(_days(expression, since, GAP_DAYS))
    in_year = sum(1 for day in days if day < YEAR_DAYS)
    gaps = _gaps(expression, days)
    return Frequency(
        per_hour=per_hour,
        per_day=per_day,
        per_year=per_day * in_year,
        days_per_year=in_year,
        shortest_gap_s=min(gaps) * 60 if gaps else None,
        longest_gap_s=max(gaps) * 60 if gaps else None,
        usual_gap_s=min(gaps, key=lambda gap: (-gaps[gap], gap)) * 60 if gaps else None,
        busiest_hour=expression.hours[0] if in_year else None,
        busiest_hours=expression.hours if in_year else (),
        since=since.isoformat(),
    )


def week(expression: Expression, now: datetime) -> list[list[int]]:
    """Return the runs to come by hour for seven local dates, the first that of `now`: 7 rows of 24 counts."""
    due = set(_days(expression, now.date(), 7))
    hours = [len(expression.minutes) if hour in expression.hours else 0 for hour in range(24)]
    found = [list(hours) if day in due else [0] * 24 for day in range(7)]
    found[0][: now.hour] = [0] * now.hour
    if found[0][now.hour]:
        found[0][now.hour] = sum(minute > now.minute for minute in expression.minutes)
    return found


def next_day(expression: Expression, since: date) -> date | None:
    """Return the first matching date from `since` on, however far it is; None when there is none."""
    first = next(_days(expression, since, SEARCH_DAYS), None)
    return None if first is None else since + timedelta(days=first)


def plainly(expression: Expression) -> str:
    """Describe an expression from its values, for forms that have no better sentence."""
    return f"{_times(expression)}{_on_days(expression)}{_in_months(expression)}"


def _days(expression: Expression, since: date, n_days: int) -> Iterator[int]:
    """Yield how many days after `since` the matching dates are, below `n_days` and the year 9999."""
    weekday = since.isoweekday()
    first = since.toordinal()
    for ahead in range(min(n_days, date.max.toordinal() - first)):
        day = date.fromordinal(first + ahead)
        if expression.on(day.month, day.day, (weekday + ahead) % 7):
            yield ahead


def _gaps(expression: Expression, days: list[int]) -> Counter[int]:
    """Count the gaps between runs in minutes: those within a day, and those from day to day."""
    times = [hour * 60 + minute for hour in expression.hours for minute in expression.minutes]
    gaps: Counter[int] = Counter()
    for first, second in pairwise(times):
        gaps[second - first] += len(days)
    over_night = times[0] - times[-1]
    for first, second in pairwise(days):
        gaps[(second - first) * 1440 + over_night] += 1
    return +gaps


def _times(expression: Expression) -> str:
    minutes, hours = expression.minutes, expression.hours
    if len(minutes) * len(hours) <= 4:
        return "At " + _and([f"{hour:02}:{minute:02}" for hour in hours for minute in minutes])
    return _minutes(minutes) + ("" if len(hours) == 24 else f" past hour {_and(_ranges(hours))}")


def _minutes(minutes: tuple[int, ...]) -> str:
    if len(minutes) == 60:
        return "Every minute"
    step = 60 // len(minutes)
    if len(minutes) > 2 and minutes == tuple(range(0, 60, step)):  # even ones only: no shorter last step
        return f"Every {step} minutes"
    return f"At minute {_and(_ranges(minutes))}"


def _on_days(expression: Expression) -> str:
    days = "" if len(expression.days) == 31 else f"day {_and(_ranges(expression.days))} of the month"
    names = [WEEKDAYS[day].capitalize() for day in (*expression.weekdays[1:], expression.weekdays[0])]
    if 0 not in expression.weekdays:
        names = [WEEKDAYS[day].capitalize() for day in expression.weekdays]
    weekdays = "" if len(names) == 7 else _and(names)
    if expression.either_day:
        return f", on {days} or on {weekdays}" if days and weekdays else ""
    if days and weekdays:
        return f", on {days} if it is {_or(names)}"
    return f", on {days or weekdays}" if days or weekdays else ""


def _in_months(expression: Expression) -> str:
    if len(expression.months) == 12:
        return ""
    return ", in " + _and([MONTHS[month - 1].capitalize() for month in expression.months])


def _ranges(values: tuple[int, ...]) -> list[str]:
    """Write ascending values with runs of three and more as `a-b`."""
    found: list[list[int]] = []
    for value in values:
        if found and value == found[-1][-1] + 1:
            found[-1].append(value)
        else:
            found.append([value])
    texts: list[str] = []
    for run in found:
        texts += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else map(str, run)
    return texts


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _or(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
