"""What was calculated lately: next runs for an hour, and the run that follows a moment."""

import threading
from collections import OrderedDict

from engine import clock, settings

_MOST = 4096
"""Entries kept of each kind; the one used longest ago goes first."""


class Memory:
    """Results keyed by normalised text, zone and tz version. Past runs are dropped when an entry is read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: OrderedDict[tuple[str, ...], tuple[float, float, tuple[int, ...]]] = OrderedDict()
        self._next: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()

    def recall(self, key: tuple[str, ...], after_s: float, wanted: int) -> tuple[int, ...] | None:
        """Return `wanted` runs after a moment, or None when what is kept is too old or too short."""
        with self._lock:
            entry = self._runs.get(key)
        if entry is None:
            return None
        made_at, start_s, runs = entry
        if clock.elapsed() - made_at > settings.get().cron_cache_s or after_s < start_s:
            return None
        left = tuple(run for run in runs if run > after_s)[:wanted]
        return left if len(left) == wanted else None

    def keep(self, key: tuple[str, ...], start_s: float, runs: tuple[int, ...]) -> None:
        with self._lock:
            self._runs[key] = (clock.elapsed(), start_s, runs)
            self._runs.move_to_end(key)
            if len(self._runs) > _MOST:
                self._runs.popitem(last=False)

    def following(self, key: tuple[str, ...], after_s: float) -> int | None:
        """Return the run that follows a moment, if that moment lies between two known ones."""
        with self._lock:
            entry = self._next.get(key)
        return entry[1] if entry and entry[0] <= after_s < entry[1] else None

    def follow(self, key: tuple[str, ...], after_s: float, run: int) -> None:
        with self._lock:
            self._next[key] = (after_s, run)
            self._next.move_to_end(key)
            if len(self._next) > _MOST:
                self._next.popitem(last=False)
