"""When a job is due, clock changes included: croniter on naive local time, Debian's rules around it.

croniter alone disagrees with cron where day fields meet, where ranges are equal and on nights of a clock
change, so it never sees a zone, a name, a range or a wrap: only plain lists, inside one stretch of constant
offset. The rules at a change are those of the main loop of Debian's cron 3.0pl1-162 (`cron.c`), which
compares the wall clock with the last minute it has served.
"""

import copy
import math
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Any

from croniter import CroniterBadDateError, croniter

from engine.lib.cron.grammar import Expression
from engine.lib.cron.zones import DAY_S, Stretch, stretches

_EPOCH = date(1970, 1, 1).toordinal()
_LATE = 5
"""Minutes the clock may jump ahead and still count as waking late: every job of each minute is made up."""
_LARGE = 180
"""Minutes of a jump from which on the clock was corrected, not changed: nothing is made up or held back."""


def walk(expression: Expression, zone: str, after_s: float, until_s: float) -> Iterator[int]:
    """Yield the due moments with `after_s < t <= until_s`, ascending, seconds since 1970.

    It begins two days earlier, because a change up to three hours ago still holds fixed-time jobs back.
    """
    after, until = math.floor(after_s), math.floor(until_s)
    naive = _Naive(expression)
    served: int | None = None
    for stretch in stretches(zone, after - 2 * DAY_S, until + 1):
        begin = stretch.first_minute if served is None else _begin(expression, stretch, served)
        if stretch.end_s > after:
            yield from _within(naive, stretch, begin, after)
        served = stretch.last_minute if begin <= stretch.first_minute else max(begin - 1, stretch.last_minute)


def tally(expression: Expression, zone: str, after_s: float, until_s: float) -> Iterator[int]:
    """Yield what `walk` yields, by enumerating days instead of stepping: quicker where many are wanted."""
    after, until = math.floor(after_s), math.floor(until_s)
    times = [hour * 60 + minute for hour in expression.hours for minute in expression.minutes]
    served: int | None = None
    last = after
    for stretch in stretches(zone, after - 2 * DAY_S, until + 1):
        begin = stretch.first_minute if served is None else _begin(expression, stretch, served)
        if stretch.end_s > after:
            for minute in _minutes(expression, times, begin, stretch.last_minute):
                at = max(stretch.start_s, minute * 60 - stretch.offset_s)
                if at > last:
                    yield at
                    last = at
        served = stretch.last_minute if begin <= stretch.first_minute else max(begin - 1, stretch.last_minute)


def _minutes(expression: Expression, times: list[int], first: int, last: int) -> Iterator[int]:
    """Yield the due wall-clock minutes from `first` to `last`, without any zone."""
    for day in range(first // 1440, last // 1440 + 1):
        date_ = date.fromordinal(_EPOCH + day)
        if expression.on(date_.month, date_.day, date_.isoweekday() % 7):
            yield from (minute for time in times if first <= (minute := day * 1440 + time) <= last)


def _begin(expression: Expression, stretch: Stretch, served: int) -> int:
    """Return the first wall-clock minute to serve in a stretch, given the last one served before it.

    Before `stretch.first_minute`: these are made up at the change. After it: held back, they ran already.
    """
    first = stretch.first_minute
    ahead = first - served
    if ahead > _LARGE or ahead <= -_LARGE:
        return first
    if expression.follows_clock and not 0 < ahead <= _LATE:
        return first
    return served + 1


def _within(naive: "_Naive", stretch: Stretch, begin: int, after: int) -> Iterator[int]:
    """Yield the due moments of one stretch; several made-up ones fall on its first moment and are one."""
    cursor = begin - 1
    if begin > stretch.first_minute or after >= stretch.start_s:
        cursor = max(cursor, (after + stretch.offset_s) // 60)
    last = None
    while (minute := naive.after(cursor)) is not None and minute <= stretch.last_minute:
        at = max(stretch.start_s, minute * 60 - stretch.offset_s)
        if at > after and at != last:
            yield at
        last = at
        cursor = minute if minute >= stretch.first_minute else stretch.first_minute - 1


class _Naive:
    """croniter on wall-clock minutes since 1970, without any zone; remembers its last answer."""

    def __init__(self, expression: Expression) -> None:
        self._engine = copy.copy(_engine(_plain(expression), expression.either_day))
        self._following = dict(pairwise(expression.minutes))
        self._asked = 0
        self._found: int | None = -1

    def after(self, minute: int) -> int | None:
        """Return the first due minute after a minute, or None when there is none within two years."""
        if self._found is None or self._asked <= minute < self._found:
            return self._found
        self._asked = minute
        if minute == self._found and minute % 60 in self._following:
            # The hour is a due one, so the rest of it needs no search.
            self._found = minute - minute % 60 + self._following[minute % 60]
        else:
            try:
                self._found = int(self._engine.get_next(float, start_time=minute * 60.0)) // 60
            except CroniterBadDateError:
                self._found = None
        return self._found


@lru_cache(maxsize=4096)
def _engine(plain: str, either_day: bool) -> Any:
    """Return a croniter to be copied: reading the expression costs more than most searches."""
    return croniter(plain, 0.0, day_or=either_day, max_years_between_matches=2)


def _plain(expression: Expression) -> str:
    """Write an expression as plain lists and `*`, the part of the grammar on which croniter is right.

    A full list must be `*`, and beside it under OR the other day field too, because croniter reads a full
    list as `*` and then lets the other field alone decide.
    """
    days, weekdays = expression.days, expression.weekdays
    any_day, any_weekday = len(days) == 31, len(weekdays) == 7
    if expression.either_day and (any_day or any_weekday):
        any_day = any_weekday = True
    return " ".join(
        (
            _list(expression.minutes, len(expression.minutes) == 60),
            _list(expression.hours, len(expression.hours) == 24),
            _list(days, any_day),
            _list(expression.months, len(expression.months) == 12),
            _list(weekdays, any_weekday),
        )
    )


def _list(values: tuple[int, ...], every: bool) -> str:
    return "*" if every else ",".join(map(str, values))
