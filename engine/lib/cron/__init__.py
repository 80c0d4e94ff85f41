"""Cron that is right: when a job is due, whether an expression is valid, what it means, how often it runs.

Semantics are Debian cron's in a zone of the tz database, calculation is bounded (1,000 runs, 365 days), and
nothing here knows of tables, tasks or pages. The sentence of an expression is in `engine.lib.cron.words`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal

from engine import clock, settings
from engine.errors import InvalidInput
from engine.lib.cron import facts, grammar, zones
from engine.lib.cron.facts import Frequency
from engine.lib.cron.grammar import Expression
from engine.lib.cron.memory import Memory
from engine.lib.cron.runs import tally, walk

__all__ = [
    "Expression",
    "Frequency",
    "Runs",
    "all_between",
    "frequency",
    "moment",
    "next_after",
    "next_runs",
    "occurrences_between",
    "validate",
    "week",
]

Truncated = Literal["horizon", "iterations"]

_FIRST_YEAR, _LAST_YEAR = 1970, 9900
_STEPPED = 20
"""Up to so many runs, croniter's steps (about 0.1 ms each) cost less than looking at each day of a year."""
_memory = Memory()


@dataclass(frozen=True, slots=True)
class Runs:
    """The next runs of an expression, aware in its zone, and why there are fewer than asked for."""

    expression: str
    zone: str
    runs: tuple[datetime, ...]
    truncated: Truncated | None
    """`horizon`: no more within 365 days; `iterations`: the limit of one calculation was reached."""

    def document(self) -> dict[str, Any]:
        """Return the JSON shape of `cron next` and `GET /api/cron/next`."""
        return {
            "expression": self.expression,
            "zone": self.zone,
            "runs": [run.isoformat() for run in self.runs],
            "truncated": self.truncated,
            "tz_version": zones.version(),
        }


def next_runs(expression: str, zone: str, start: datetime | None = None, count: int = 10) -> Runs:
    """Return up to `count` runs strictly after `start` (default now), within 365 days."""
    parsed, tz = grammar.parse(expression), zones.zone(zone)
    if count < 1:
        raise InvalidInput("The count is a whole number from 1 on.", code="invalid_count")
    after_s = _bounded(start or clock.now()).timestamp()
    most = settings.get().cron_iterations
    wanted = min(count, most)
    key = (parsed.text, zone, zones.version())
    found = _memory.recall(key, after_s, wanted)
    if found is None:
        until_s = after_s + settings.get().cron_horizon_d * zones.DAY_S
        due = walk if wanted <= _STEPPED else tally
        found = tuple(islice(due(parsed, zone, after_s, until_s), wanted))
        _memory.keep(key, after_s, found)
    truncated: Truncated | None = "horizon" if len(found) < wanted else None
    if truncated is None and count > most:
        truncated = "iterations"
    return Runs(expression, zone, tuple(datetime.fromtimestamp(s, tz) for s in found), truncated)


def next_after(expression: str, zone: str, after_ms: int) -> int | None:
    """Return the first due moment after a moment, in milliseconds, however far; None when there is none.

    Remembers the last answer per expression and zone: ten thousand schedules share few of them.
    """
    parsed = grammar.parse(expression)
    after_s = after_ms / 1000
    key = (parsed.text, zone)
    found = _memory.following(key, after_s)
    if found is None:
        found = _first(parsed, zone, after_s)
        if found is None:
            return None
        _memory.follow(key, after_s, found)
    return found * 1000


def occurrences_between(expression: str, zone: str, after_ms: int, until_ms: int, limit: int) -> list[int]:
    """Return the due moments with `after < t <= until` in milliseconds, the earliest `limit` of them."""
    due = walk(grammar.parse(expression), zone, after_ms / 1000, until_ms / 1000)
    return [at_s * 1000 for at_s in islice(due, limit)]


def all_between(expression: str, zone: str, after_ms: int, until_ms: int) -> list[int]:
    """Return all due moments with `after < t <= until` in seconds; for forecasts over days, not years."""
    return list(tally(grammar.parse(expression), zone, after_ms / 1000, until_ms / 1000))


def validate(expression: str, zone: str | None = None) -> Expression:
    """Return what an expression says; raise InvalidInput with code and position, also for the zone."""
    if zone is not None:
        zones.zone(zone)
    return grammar.parse(expression)


def frequency(expression: str, zone: str, start: datetime | None = None) -> Frequency:
    """Count runs per hour, day and year and the gaps, from the local date of `start` on."""
    local = _bounded(start or clock.now()).astimezone(zones.zone(zone))
    return facts.frequency(grammar.parse(expression), local.date())


def week(expression: str, now: datetime) -> list[list[int]]:
    """Return the runs after a local time by hour, on its date and six more: 7 rows of 24 counts."""
    return facts.week(grammar.parse(expression), now)


def moment(text: str, zone: str) -> datetime:
    """Read an ISO 8601 moment; one without an offset is wall-clock time of the zone."""
    try:
        if not text.strip().isprintable():  # fromisoformat stops reading at U+0000 and takes any separator
            raise ValueError(text)
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        hint = " (in a URL, write + as %2B)" if " " in text.strip()[11:] else ""
        message = f"The start is no ISO 8601 time: write 2026-03-28T00:00:00+01:00{hint}."
        raise InvalidInput(message, code="invalid_start", fields={"start": message}) from error
    return _bounded(at if at.tzinfo else at.replace(tzinfo=zones.zone(zone)))


def _bounded(at: datetime) -> datetime:
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        message = f"The start lies in the years {_FIRST_YEAR} to {_LAST_YEAR}."
        raise InvalidInput(message, code="invalid_start", fields={"start": message})
    return at


def _first(expression: Expression, zone: str, after_s: float) -> int | None:
    """Return the first run within a year, else look from the next matching day of the calendar on."""
    year_s = 366 * zones.DAY_S
    found = next(walk(expression, zone, after_s, after_s + year_s), None)
    if found is not None:
        return found
    local = datetime.fromtimestamp(after_s, zones.zone(zone)).date()
    day = facts.next_day(expression, local + timedelta(days=300))
    if day is None:
        return None
    from_s = max(
        after_s, datetime(day.year, day.month, day.day, tzinfo=zones.zone(zone)).timestamp() - zones.DAY_S
    )
    return next(walk(expression, zone, from_s, from_s + year_s), None)
