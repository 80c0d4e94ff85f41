"""What is looked at: a window, a service, a kind, a route; and which rollups answer for it."""

from dataclasses import dataclass, replace
from typing import Any

from engine import clock, settings
from engine.errors import InvalidInput
from engine.lib.histogram import RELATIVE_ERROR
from engine.records import db
from engine.records.metrics import TOTAL

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
MONTH_MS = 28 * DAY_MS
TIERS = (MINUTE_MS, HOUR_MS, DAY_MS, MONTH_MS)
TIER_NAMES = {MINUTE_MS: "minute rollups", HOUR_MS: "hour rollups", DAY_MS: "day rollups"}

STEPS_MS = tuple(m * MINUTE_MS for m in (1, 5, 15, 60, 6 * 60, 24 * 60, 7 * 24 * 60))
"""Widths of one point on a chart. Minutes are kept 7 days and hours 13 months."""
_POINTS = 200
_MINUTES_FOR_MS = 2 * DAY_MS
_HOURS_FOR_MS = 62 * DAY_MS
_AHEAD_MS = 366 * DAY_MS
"""How far ahead a window may end: to the end of the day, month or year that runs."""

PERIODS: dict[str, int] = {
    "15m": 15 * MINUTE_MS,
    "1h": HOUR_MS,
    "6h": 6 * HOUR_MS,
    "24h": DAY_MS,
    "7d": 7 * DAY_MS,
    "30d": 30 * DAY_MS,
    "90d": 90 * DAY_MS,
    "13mo": 396 * DAY_MS,
}


@dataclass(frozen=True)
class Selection:
    """A window (ms, end excluded) and a filter. `name` None means all of the kind."""

    start_ms: int
    end_ms: int
    kind: str = "http"
    service: str | None = None
    name: str | None = None
    method: str | None = None

    def __post_init__(self) -> None:
        if self.end_ms <= self.start_ms:
            raise InvalidInput("The period ends before it begins.", fields={"end": "must be after the start"})

    @property
    def step_ms(self) -> int:
        """Return the width of a chart point: at most about `_POINTS` of them, no finer than what is kept."""
        length = self.end_ms - self.start_ms
        least = MINUTE_MS if length <= _MINUTES_FOR_MS else HOUR_MS if length <= _HOURS_FOR_MS else DAY_MS
        least = max(least, self._finest_kept_ms)
        fitting = (s for s in STEPS_MS if s >= least and length <= s * _POINTS)
        return next(fitting, STEPS_MS[-1])

    @property
    def _finest_kept_ms(self) -> int:
        """Return the finest rollups that still reach back to the begin of the window."""
        age_d = (clock.now_ms() - self.start_ms) / DAY_MS
        limits = settings.get()
        return (
            MINUTE_MS if age_d <= limits.minute_keep_d else HOUR_MS if age_d <= limits.hour_keep_d else DAY_MS
        )

    @property
    def tier_ms(self) -> int:
        """Return the coarsest rollups that draw the chart."""
        return max(tier for tier in TIER_NAMES if self.step_ms % tier == 0)

    @property
    def total_tier_ms(self) -> int:
        """Return the rollups to add a whole window up from: coarse ones inside, finer ones at its edges."""
        length = self.end_ms - self.start_ms
        return max(tier for tier in TIERS if tier == MINUTE_MS or length >= 2 * tier)

    def snapped(self) -> "Selection":
        """Return the window widened to whole buckets of its tier, so that no bucket is cut in two."""
        return self.widened(self.tier_ms)

    def widened(self, to_ms: int) -> "Selection":
        """Return the window widened to whole multiples of a duration."""
        end = -(-self.end_ms // to_ms) * to_ms
        return replace(self, start_ms=self.start_ms - self.start_ms % to_ms, end_ms=end)

    def previous(self) -> "Selection":
        """Return the window of the same length just before."""
        length = self.end_ms - self.start_ms
        return replace(self, start_ms=self.start_ms - length, end_ms=self.start_ms)

    def of(self, kind: str) -> "Selection":
        """Return the same window for another kind of work."""
        return replace(self, kind=kind)

    def only(self, name: str, method: str | None = None) -> "Selection":
        """Return the same window for one route."""
        return replace(self, name=name, method=method)


@dataclass(frozen=True)
class Source:
    """Where numbers come from: printed beside them."""

    start_ms: int
    end_ms: int
    n: int
    """How much was counted."""
    source: str
    capped: bool = False
    """Whether rows were left out beyond a limit."""
    limit: int | None = None
    relative_error: float = RELATIVE_ERROR
    """Bound of the percentiles."""


def last(period: str, **filters: Any) -> Selection:
    """Return the selection of a period that ends now: a key of `PERIODS`."""
    if period not in PERIODS:
        raise InvalidInput(f"{period!r} is not a period", fields={"period": f"one of {', '.join(PERIODS)}"})
    end_ms = clock.now_ms()
    return Selection(end_ms - PERIODS[period], end_ms, **filters)


def between(start_ms: int, end_ms: int, **filters: Any) -> Selection:
    """Return the selection of a window somebody has chosen, no longer than what is kept at all.

    Charts have a point for every step of it: ten thousand years of them took 20 s.
    """
    longest_d = settings.get().day_keep_d
    if end_ms - start_ms > longest_d * DAY_MS:
        message = f"The period is longer than the {longest_d:g} days that are kept."
        raise InvalidInput(message, fields={"start": "must be nearer to the end"})
    if start_ms < 0 or end_ms > clock.now_ms() + _AHEAD_MS:
        raise InvalidInput("The period lies outside recorded time.", fields={"end": "at most a year ahead"})
    return Selection(start_ms, end_ms, **filters)


@dataclass(frozen=True)
class SeriesRow:
    """One series of the dictionary."""

    id: int
    service: str
    kind: str
    name: str
    method: str
    outcome: str


def series(selection: Selection, *, each: bool = False) -> list[SeriesRow]:
    """Return the series a selection adds up; `each` gives the single ones instead of their total."""
    name = selection.name
    total = name is None and not each
    rows = db.metrics().read(
        """select id, service, kind, name, method, outcome from series
           where kind = :kind and (:service is null or service = :service)
           and (:name is null or name = :name) and (:method is null or method = :method)
           and case when :only_total then name = :total else name <> :total end
           order by id""",
        kind=selection.kind,
        service=selection.service,
        name=name,
        method=None if total else selection.method,
        only_total=total,
        total=TOTAL,
    )
    return [SeriesRow(**dict(row)) for row in rows]
