"""Cron previews as documents: what the command line and HTTP answer, from loosely typed requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine import clock
from engine.errors import InvalidInput, OffloadError
from engine.lib import cron
from engine.lib.cron import grammar, zones
from engine.lib.cron.words import describe as in_words

DEFAULT_ZONE = "UTC"
DEFAULT_COUNT = 10

Request = Mapping[str, Any]
"""`expression`, `zone` (or `tz`), `start`, `count` as they came in: JSON, a query string, options."""


def next_runs(request: Request) -> dict[str, Any]:
    """Return `{"expression", "zone", "runs", "truncated", "tz_version"}`; raise InvalidInput."""
    expression, zone = _expression(request), _zone(request)
    grammar.parse(expression)  # the expression's faults are told before those of the other fields
    start = _start(request, zone)
    return cron.next_runs(expression, zone, start, _count(request)).document()


def validate(request: Request) -> dict[str, Any]:
    """Return what a valid expression is read as, and what may surprise about it; raise InvalidInput."""
    expression = _expression(request)
    parsed = cron.validate(expression)
    zone = _zone(request)
    return {
        "expression": expression,
        "zone": zones.zone(zone).key,
        "valid": True,
        "normalised": parsed.text,
        "remarks": _remarks(parsed, zone),
        "tz_version": zones.version(),
    }


def describe(request: Request) -> dict[str, Any]:
    """Return an expression in English, with what may surprise about it; raise InvalidInput."""
    expression = _expression(request)
    parsed = cron.validate(expression)
    return {
        "expression": expression,
        "normalised": parsed.text,
        "description": in_words(parsed),
        "remarks": grammar.remarks(parsed),
    }


def frequency(request: Request) -> dict[str, Any]:
    """Return how often an expression is due, gaps in seconds; raise InvalidInput."""
    expression, zone = _expression(request), _zone(request)
    grammar.parse(expression)
    counted = cron.frequency(expression, zone, _start(request, zone))
    return {"expression": expression, "zone": zone, **counted.document(), "tz_version": zones.version()}


def refusal(error: OffloadError, request: Request) -> dict[str, Any]:
    """Return the answer to a request that is not valid."""
    document: dict[str, Any] = {"error": {"code": error.code, "message": error.message}}
    if isinstance(error, InvalidInput) and error.position is not None:
        document["error"]["position"] = error.position
    return document | never(error, request)


def never(error: OffloadError, request: Request) -> dict[str, Any]:
    """Return what stands beside the error of an expression that can never run; nothing beside another.

    It says so the way a calculation does, with no runs.
    """
    if error.code != "never_runs":
        return {}
    zone = request.get("zone") or request.get("tz") or DEFAULT_ZONE
    return {"expression": request.get("expression"), "zone": zone, "runs": [], "truncated": "never"}


def _expression(request: Request) -> str:
    return _text(request, "expression", None)


def _zone(request: Request) -> str:
    """Read the zone; `tz`, as the option is called, is another name for it."""
    zone, tz = request.get("zone"), request.get("tz")
    if None not in (zone, tz) and zone != tz:
        message = "zone and tz are two names of one field, and here they differ."
        raise InvalidInput(message, code="invalid_field", fields={"zone": message, "tz": message})
    return _text(request, "tz" if zone is None else "zone", DEFAULT_ZONE)


def _start(request: Request, zone: str) -> Any:
    zones.zone(zone)
    text = _text(request, "start", "")
    return cron.moment(text, zone) if text else None


def _count(request: Request) -> int:
    """Read the count: a whole number or its digits; the calculation bounds it above."""
    given = request.get("count")
    if given is None:
        return DEFAULT_COUNT
    if isinstance(given, str) and given.isascii() and given.isdigit():
        return int(given.lstrip("0")[:9] or "0")  # nine digits are far above the bound
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    message = "The count is a whole number from 1 on."
    raise InvalidInput(message, code="invalid_count", fields={"count": message})


def _text(request: Request, name: str, default: str | None) -> str:
    given = request.get(name)
    if given is None and default is not None:
        return default
    if not isinstance(given, str):
        message = f"The field {name} is text." if name in request else f"The field {name} is missing."
        raise InvalidInput(message, code="invalid_field", fields={name: message})
    return given


@dataclass(frozen=True, slots=True)
class Due:
    """A coming run in the schedule's zone, and what the clock change does to it, if it does."""

    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Everything a page shows about an expression while it is typed."""

    normalised: str
    description: str
    remarks: list[str]
    runs: list[Due]
    truncated: str | None
    since: datetime
    """Now, in the zone: its date is the first of the seven of `week`."""
    week: list[list[int]]
    """Runs to come by hour: 7 rows of 24."""
    frequency: cron.Frequency


def preview(expression: str, zone: str, count: int = DEFAULT_COUNT) -> Preview:
    """Work out a preview from now on; raise InvalidInput with code and position."""
    parsed = cron.validate(expression, zone)
    found = cron.next_runs(expression, zone, None, count)
    since = clock.now().astimezone(zones.zone(zone))
    return Preview(
        normalised=parsed.text,
        description=in_words(parsed),
        remarks=_remarks(parsed, zone),
        runs=_noted(parsed, found.runs, since),
        truncated=found.truncated,
        since=since,
        week=cron.week(expression, since),
        frequency=cron.frequency(expression, zone),
    )


def _remarks(parsed: cron.Expression, zone: str) -> list[str]:
    """Return the remarks that apply in a zone: one without clock changes has no such nights."""
    found = grammar.remarks(parsed)
    now_s = clock.now_ms() // 1000
    if len(list(zones.stretches(zone, now_s, now_s + 366 * zones.DAY_S))) == 1:
        found = [remark for remark in found if remark != grammar.ONCE]
    return found


def _noted(parsed: cron.Expression, runs: Sequence[datetime], now: datetime) -> list[Due]:
    found = []
    before = now
    for run in runs:
        found.append(Due(run, _note(parsed, run, before)))
        before = run
    return found


def _note(parsed: cron.Expression, run: datetime, before: datetime) -> str:
    """Say what a clock change does to a run; empty where it does nothing."""
    if run.hour not in parsed.hours or run.minute not in parsed.minutes:
        return "its time is left out by the clock change, so it runs right after"
    if run.utcoffset() != run.replace(fold=1 - run.fold).utcoffset():
        return f"in the time that comes twice, {'second' if run.fold else 'first'} pass"
    if run.utcoffset() != before.utcoffset():
        return f"first after the clocks change to UTC{run:%z}"
    return ""
