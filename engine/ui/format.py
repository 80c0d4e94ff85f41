"""How numbers, sizes and times read. Pure functions; the viewer's zone is passed in."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from engine import clock

DASH = "–"
"""Stands for what is not known yet; never for zero."""

_STEPS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:])")


def duration(ms: float | None) -> str:
    """Format milliseconds with two or three figures: `84 ms`, `6.2 s`, `3 min 5 s`, `2 d 4 h`."""
    if ms is None:
        return DASH
    if ms < 1_000:
        return f"{ms:.0f} ms" if ms >= 10 or ms == int(ms) else f"{ms:.1f} ms"
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    seconds = round(ms / 1000)
    for size, big, part, small in _STEPS:
        if seconds >= size:
            rest = seconds % size // part
            return f"{seconds // size} {big} {rest} {small}" if rest else f"{seconds // size} {big}"
    return f"{seconds} s"


def size(n_bytes: float | None) -> str:
    """Format bytes in decimal units: `512 B`, `48 kB`, `1.4 MB`."""
    if n_bytes is None:
        return DASH
    for limit, divisor, unit in ((1e3, 1.0, "B"), (1e6, 1e3, "kB"), (1e9, 1e6, "MB")):
        if n_bytes < limit:
            value = n_bytes / divisor
            return f"{value:.1f} {unit}" if value < 10 and divisor > 1 else f"{value:.0f} {unit}"
    return f"{n_bytes / 1e9:.1f} GB"


def count(n: float | None) -> str:
    """Format a whole number with separators; a dash when it is not known."""
    return DASH if n is None else f"{n:,.0f}"


def percent(share: float | None, digits: int = 1) -> str:
    """Format a share (0 to 1) as per cent; a dash when it is not known."""
    return DASH if share is None else f"{share * 100:.{digits}f} %"


def plural(n: int, one: str, many: str | None = None) -> str:
    """Put a count before its noun: `1 task`, `2 tasks`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def zone(name: str | None) -> ZoneInfo:
    """Return a time zone by its IANA name; UTC for one that does not exist."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def moment(at_ms: int | None, where: ZoneInfo, *, seconds: bool = True) -> str:
    """Format a point in time in the viewer's zone; the year only when it is not this year."""
    if at_ms is None:
        return DASH
    at = clock.from_ms(at_ms).astimezone(where)
    this_year = at.year == clock.now().astimezone(where).year
    day = f"{at.day} {at:%b}" if this_year else f"{at.day} {at:%b} {at.year}"
    return f"{day}, {at:%H:%M:%S}" if seconds else f"{day}, {at:%H:%M}"


def clock_time(at_ms: int, where: ZoneInfo) -> str:
    """Format the time of day in the viewer's zone."""
    return f"{clock.from_ms(at_ms).astimezone(where):%H:%M:%S}"


def utc(at_ms: int | None) -> str:
    """Format a point in time in UTC, for hovering and exports."""
    return DASH if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def relative(at_ms: int | None, now_ms: int | None = None) -> str:
    """Format the distance to now: `just now`, `3 min ago`, `in 4 min`."""
    if at_ms is None:
        return DASH
    gap = at_ms - (clock.now_ms() if now_ms is None else now_ms)
    if abs(gap) < 1_000:
        return "just now"
    words = _coarse(abs(gap))
    return f"in {words}" if gap > 0 else f"{words} ago"


def sentence(text: str) -> str:
    """Begin a text with a capital, as a sentence does."""
    return text[:1].upper() + text[1:]


def short_id(task_id: str) -> str:
    """Return the end of an id, enough to tell two of them apart."""
    return task_id[-8:]


def plain(text: object) -> str:
    """Escape a text so that Markdown shows it as it is: no links, images or formatting from outside."""
    return _MARKDOWN.sub(r"\\\1", str(text)).replace("\n", " ")


def _coarse(ms: int) -> str:
    for size_ms, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min")):
        if ms >= size_ms:
            return f"{ms // size_ms} {unit}"
    return f"{ms // 1000} s"
