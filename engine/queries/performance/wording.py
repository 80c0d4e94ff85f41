"""Durations and changes in words, for sentences that carry numbers."""

import math

KINDS = {
    "http": "HTTP requests",
    "run": "Page runs",
    "fragment": "Live parts of pages",
    "task": "Task attempts",
    "call": "Outbound calls",
    "query": "Database statements",
}
"""What people call the kinds of work that can be looked at."""


def duration(ms: float) -> str:
    """Write a duration with about three digits: 840 µs, 84 ms, 6.2 s, 3 min 20 s."""
    if ms < 1:
        return f"{ms * 1000:.0f} µs"
    if ms < 1_000:
        return f"{_digits(ms)} ms"
    if ms < 120_000:
        return f"{_digits(ms / 1_000)} s"
    minutes, seconds = divmod(round(ms / 1_000), 60)
    return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


def percent(share: float) -> str:
    """Write a relative change with its sign: -98.6 %, +12.0 %."""
    return f"{_signed(share)} %"


def interval(low: float, high: float) -> str:
    """Write the bounds of a relative change: -98.9 to -98.1."""
    return f"{_signed(low)} to {_signed(high)}"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}"


def _digits(value: float) -> str:
    places = max(0, 1 - math.floor(math.log10(value))) if value > 0 else 0
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
