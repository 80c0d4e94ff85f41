"""The flags of a task, late and stalled: no states, not stored, computed whenever somebody looks."""

from engine import settings

_BEATS = 3
"""A worker that missed this many heartbeats is called silent, and what it runs stalled."""


def silent_after_ms() -> int:
    """Return for how long a heartbeat may stay away."""
    return int(_BEATS * settings.get().beat_s * 1000)


def silent_ms(lease_until_ms: int, now_ms: int) -> int:
    """Return how long ago the heartbeat came that renewed a lease."""
    return now_ms - lease_until_ms + int(settings.get().lease_s * 1000)


def stalled_below_ms(now_ms: int) -> int:
    """Return the end of a lease below which the task that runs under it counts as stalled."""
    return now_ms + int(settings.get().lease_s * 1000) - silent_after_ms()


def late(due_at_ms: int, now_ms: int) -> bool:
    """Whether what was due then and has not begun is late, by the measure that starts of schedules have."""
    return now_ms - due_at_ms > settings.get().schedule_late_s * 1000
