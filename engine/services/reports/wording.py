"""Numbers and times as a reader expects them. Units are never left to be guessed."""

from zoneinfo import ZoneInfo

from engine import clock

_SPANS = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"))


def count(number: float) -> str:
    """12345 as 12,345."""
    return f"{number:,.0f}".replace("-", "−")


def duration(ms: float | None) -> str:
    """Milliseconds in the unit that gives two or three digits."""
    if ms is None:
        return "–"
    if 0 < ms < 0.9995:
        return f"{ms * 1000:.0f} µs"
    if ms < 10:
        return f"{ms:.1f} ms"
    if ms < 1_000:
        return f"{ms:.0f} ms"
    if ms < 10_000:
        return f"{ms / 1000:.2f} s"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    return f"{int(ms // 60_000)} min {int(ms % 60_000 // 1000)} s"


def tick_duration(ms: float) -> str:
    """Milliseconds on an axis: round numbers without needless digits."""
    if 0 < ms < 1:
        return f"{ms * 1000:g} µs"
    if ms < 1_000:
        return f"{ms:g} ms" if ms else "0"
    return f"{ms / 1000:g} s" if ms < 120_000 else f"{ms / 60_000:g} min"


def percent(share: float | None) -> str:
    """A share of one; what is not nothing never reads as 0 %, what is not all never as 100 %."""
    if share is None:
        return "–"
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{share * 100:.1f} %" if share < 0.1 or share > 0.99 else f"{share * 100:.0f} %"


def change(share: float) -> str:
    """A relative change with its sign: -98.6 %, +12.0 %."""
    return f"{share * 100:+.1f} %"


def moment(at_ms: int, zone: str) -> str:
    """A point in time, to the minute, without its zone."""
    local = clock.from_ms(at_ms).astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%b %Y, %H:%M}"


def period(start_ms: int, end_ms: int, zone: str) -> str:
    """From when until when, the date once if it is the same."""
    start, end = (clock.from_ms(at).astimezone(ZoneInfo(zone)) for at in (start_ms, end_ms))
    until = f"{end:%H:%M}" if start.date() == end.date() else moment(end_ms, zone)
    return f"{moment(start_ms, zone)} – {until}"


def span(ms: int) -> str:
    """A length of time in the largest unit that gives two or more: 15 minutes, 24 hours, 7 days."""
    for unit, name in _SPANS:
        if ms >= 2 * unit:
            return f"{round(ms / unit)} {name}s"
    return f"{ms} ms"


def interval(ms: int) -> str:
    """A length of time as it follows “per”: minute, 15 minutes, hour, day."""
    return next((name for unit, name in _SPANS if ms == unit), span(ms))


FILTERS = {
    "count": count,
    "duration": duration,
    "percent": percent,
    "change": change,
    "moment": moment,
    "span": span,
}
