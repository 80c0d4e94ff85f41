"""The clock: `now()` to store, `elapsed()` to measure. Tests replace `_wall`, never the callers."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

_wall: Callable[[], float] = time.time


def now_ms() -> int:
    """Return the wall-clock time in integer milliseconds since 1970, UTC."""
    return int(_wall() * 1000)


def now() -> datetime:
    """Return the wall-clock time as an aware UTC datetime with millisecond precision."""
    return from_ms(now_ms())


def elapsed() -> float:
    """Return seconds from an arbitrary start that no clock change moves."""
    return time.perf_counter()


def from_ms(at_ms: int) -> datetime:
    """Convert stored milliseconds to an aware UTC datetime."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def to_ms(at: datetime) -> int:
    """Convert an aware datetime to stored milliseconds; raise ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError("a point in time needs a time zone")
    return round(at.timestamp() * 1000)


def iso(at_ms: int | None) -> str | None:
    """Format stored milliseconds as ISO 8601 UTC with milliseconds and a Z."""
    if at_ms is None:
        return None
    return iso_of(from_ms(at_ms), timespec="milliseconds")


def iso_of(at: datetime, *, timespec: str = "auto") -> str:
    """Format a time as ISO 8601, with a Z for UTC; `timespec` as of `datetime.isoformat`."""
    return at.isoformat(timespec=timespec).replace("+00:00", "Z")
