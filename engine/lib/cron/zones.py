"""Time zones: names, the version of the tz database, and the stretches between clock changes.

Zones come from where `zoneinfo` finds them: the system's database first, then the `tzdata` package.
"""

import difflib
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import tzdata

from engine.errors import InvalidInput

DAY_S = 86_400
_NOT_ZONES = frozenset({"localtime", "posixrules"})


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time during which a zone keeps one offset: `start_s <= t < end_s`, seconds since 1970."""

    start_s: int
    end_s: int
    offset_s: int

    @property
    def first_minute(self) -> int:
        """Wall-clock minute (minutes of local time since 1970) at the start; it may have begun before."""
        return (self.start_s + self.offset_s) // 60

    @property
    def last_minute(self) -> int:
        return (self.end_s - 1 + self.offset_s) // 60


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Return a zone of the tz database; raise InvalidInput with code `unknown_zone` for any other name."""
    try:
        # right/ counts leap seconds, posix/ repeats everything, localtime differs from machine to machine.
        if name.startswith(("right/", "posix/")) or name in _NOT_ZONES:
            raise ValueError(name)
        return ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        message = f"This time zone is not known{_nearest(name)}"
        raise InvalidInput(message, code="unknown_zone", fields={"zone": message}) from error


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Return the names of all zones, sorted."""
    return tuple(sorted(zoneinfo.available_timezones() - _NOT_ZONES))


@lru_cache(maxsize=1)
def version() -> str:
    """Return the version of the tz database in use, such as `2025b`; `unknown` where it does not say."""
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / "UTC").exists():
            return _system_version(folder)
    return str(tzdata.IANA_VERSION)


def stretches(name: str, from_s: int, until_s: int) -> Iterator[Stretch]:
    """Yield the stretches of constant offset from `from_s` to `until_s`, cut at both ends."""
    tz = zone(name)
    start = from_s
    for year in range(_year(from_s), _year(until_s) + 1):
        for change in _changes(name, year):
            if start < change < until_s:
                yield Stretch(start, change, _offset(tz, start))
                start = change
    yield Stretch(start, until_s, _offset(tz, start))


@lru_cache(maxsize=4096)
def _changes(name: str, year: int) -> tuple[int, ...]:
    """Return the moments of a year (UTC) when the offset changes, by daily probes and bisection.

    No zone has changed its offset twice within a day since 1970 (the transition tables of all
    zones of 2025b were compared with this function for 1970 to 2037: no difference).
    """
    tz = zone(name)
    begin, end = (int(datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (year, year + 1))
    found = []
    before = _offset(tz, begin - 1)
    low = begin - 1
    for probe in (*range(begin + DAY_S - 1, end, DAY_S), end - 1):
        after = _offset(tz, probe)
        if after != before:
            found.append(_bisect(tz, low, probe))
        low, before = probe, after
    return tuple(found)


def _bisect(tz: ZoneInfo, low: int, high: int) -> int:
    """Return the first second after `low` whose offset is that of `high`."""
    last = _offset(tz, high)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(tz, middle) == last:
            high = middle
        else:
            low = middle
    return high


def _offset(tz: ZoneInfo, at_s: int) -> int:
    offset = datetime.fromtimestamp(at_s, tz).utcoffset()
    assert offset is not None, "a ZoneInfo always has an offset"
    return int(offset.total_seconds())


def _year(at_s: int) -> int:
    return datetime.fromtimestamp(at_s, UTC).year


def _nearest(name: str) -> str:
    known = {candidate.lower(): candidate for candidate in names()}
    close = difflib.get_close_matches(name.lower()[:64], known, n=1, cutoff=0.75)
    return f"; did you mean {known[close[0]]}?" if close else "; write a name such as Europe/Berlin."


def _system_version(folder: Path) -> str:
    try:
        if (folder / "+VERSION").exists():
            return (folder / "+VERSION").read_text().strip()
        with (folder / "tzdata.zi").open() as lines:
            return lines.readline().removeprefix("# version").strip() or "unknown"
    except OSError:
        return "unknown"
