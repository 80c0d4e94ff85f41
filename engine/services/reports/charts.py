"""Charts as SVG: lines over time with gaps where nothing happened, stacked bars, and distributions.

Drawn here and not by a chart library: two kinds of chart do not justify 84 MB, 0.4 s a report and an engine
that reserves tens of GiB of address space (measured with Vega). Sizes are in units of 0.25 mm, so that a full
width of 712 is 178 mm on paper, and text of 10 units prints at 7 points.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, floor, log10, sqrt
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from engine import clock

WIDTH = 712
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 8, 26, 24
_MOST_LABELS = 9
_MINUTE = 60_000
_LEAST_ON_LOG, _FEW_DECADES = 0.001, 2_000
_TIME_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)
_DAY_STEPS = (1, 2, 7, 14, 30, 91)
_GRID, _EDGE, _TEXT, _INK = "#e3e8ef", "#aab4c3", "#5b6676", "#2b3441"


@dataclass(frozen=True)
class Line:
    """One line or stack of bars: a value, or None, for each point in time."""

    label: str
    color: str
    values: Sequence[float | None]
    weight: float = 1.6


@dataclass(frozen=True)
class Mark:
    """A horizontal line to compare with."""

    label: str
    value: float


@dataclass(frozen=True)
class Axis:
    """The time axis: the start of each bucket, their width, and where the period begins and ends."""

    starts_ms: Sequence[int]
    bucket_ms: int
    start_ms: int
    end_ms: int
    zone: str

    def x(self, at_ms: float) -> float:
        share = (at_ms - self.start_ms) / max(1, self.end_ms - self.start_ms)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


@dataclass(frozen=True)
class Spread:
    """One distribution: from, to and share of each band, ascending and without a gap between them."""

    label: str
    color: str
    bands: Sequence[tuple[float, float, float]]
    dashes: str = ""
    """Of its outline, so that it is not told by its colour alone."""


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis of values above 0."""

    low: float
    high: float

    @classmethod
    def around(cls, lows: Sequence[float], highs: Sequence[float]) -> "LogAxis":
        """Return the axis that holds all bands and spans at least a decade."""
        low = max(min(lows, default=1), _LEAST_ON_LOG)
        high = max(max(highs, default=10 * low), low)
        wider = max(1.0, sqrt(10 * low / high))
        return cls(low / wider, high * wider)

    def x(self, value: float) -> float:
        share = log10(max(value, self.low) / self.low) / log10(self.high / self.low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    @property
    def ticks(self) -> list[float]:
        """The powers of ten within, or 1, 2 and 5 times them where those are few."""
        steps = (1, 2, 5) if self.high / self.low < _FEW_DECADES else (1,)
        powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        values = [step * 10.0**power for power in powers for step in steps]
        return [value for value in values if self.low <= value <= self.high]


def line_chart(
    axis: Axis,
    lines: Sequence[Line],
    write: Callable[[float], str],
    *,
    alt: str,
    mark: Mark | None = None,
    height: int = 240,
) -> Markup:
    """Draw lines over time; a point without a value interrupts its line."""
    values = [value for line in lines for value in line.values if value is not None]
    plot = _Plot(max(values, default=0), height)
    shown = mark if mark and mark.value <= plot.top_value else None
    parts = [
        _grid(plot, write),
        _times(axis, plot),
        _legend([(line.label, line.color) for line in lines], shown),
    ]
    if shown:
        parts.append(_dashed(_LEFT, WIDTH - _RIGHT, plot.y(shown.value)))
    middles = [start + axis.bucket_ms / 2 for start in axis.starts_ms]
    for line in lines:
        points = [
            None if v is None else (axis.x(at), plot.y(v)) for at, v in zip(middles, line.values, strict=True)
        ]
        parts.append(_path(points, line))
    return _svg(parts, height, alt)


def bar_chart(
    axis: Axis, stacks: Sequence[Line], write: Callable[[float], str], *, alt: str, height: int = 175
) -> Markup:
    """Draw one bar per bucket, the stacks on top of each other from the first up."""
    totals = [sum(value or 0 for value in bucket) for bucket in zip(*(s.values for s in stacks), strict=True)]
    plot = _Plot(max(totals, default=0), height)
    parts = [_grid(plot, write), _times(axis, plot), _legend([(s.label, s.color) for s in stacks])]
    below = [0.0] * len(axis.starts_ms)
    for stack in stacks:
        for at, value in enumerate(stack.values):
            if value:
                parts.append(_bar(axis, plot, axis.starts_ms[at], below[at], value, stack.color))
                below[at] += value
    return _svg(parts, height, alt)


def spread_chart(
    spreads: Sequence[Spread], write: Callable[[float], str], *, alt: str, height: int = 210
) -> Markup:
    """Draw distributions over each other on a logarithmic axis; `write` labels it."""
    bands = [band for spread in spreads for band in spread.bands]
    plot = _Plot(max((share for _, _, share in bands), default=0), height)
    axis = LogAxis.around([low for low, _, _ in bands], [high for _, high, _ in bands])
    legend = [(spread.label, spread.color) for spread in spreads]
    parts = [_grid(plot, lambda share: f"{share * 100:g} %"), _legend(legend)]
    for value in axis.ticks:
        parts.append(_tick(axis.x(value), plot, write(value)))
    parts += [_outline(spread, axis, plot) for spread in spreads if spread.bands]
    return _svg(parts, height, alt)


def share_bar(share: float, color: str, *, width: int = 64) -> Markup:
    """Draw a small bar for a share of one, to stand in a cell of a table."""
    filled = max(0.0, min(1.0, share)) * width
    return Markup(  # noqa: S704 - numbers and our own colours only
        f'<svg class="share" width="{width}" height="7" viewBox="0 0 {width} 7" aria-hidden="true">'
        f'<rect width="{width}" height="7" rx="1.5" fill="#edf0f5"/>'
        f'<rect width="{filled:.1f}" height="7" rx="1.5" fill="{color}"/></svg>'
    )


class _Plot:
    """The value axis: from 0 to a round number above the largest value."""

    def __init__(self, largest: float, height: int) -> None:
        self.bottom = height - _BOTTOM
        self.step = _round_step(largest / 4 if largest > 0 else 1)
        self.top_value = self.step * max(1, ceil(largest / self.step - 1e-9))

    def y(self, value: float) -> float:
        return self.bottom - value / self.top_value * (self.bottom - _TOP)

    @property
    def ticks(self) -> list[float]:
        return [self.step * number for number in range(round(self.top_value / self.step) + 1)]


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is not below `least`."""
    power: float = 10 ** floor(log10(least))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= least * (1 - 1e-9))


def _svg(parts: Sequence[str], height: int, alt: str) -> Markup:
    return Markup(  # noqa: S704 - built here from numbers and escaped text
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(alt)}" font-family="Inter" font-size="10">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", color: str = _TEXT) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{escape(text)}</text>'


def _grid(plot: _Plot, write: Callable[[float], str]) -> str:
    parts = []
    for tick in plot.ticks:
        y = plot.y(tick)
        color = _GRID if tick else _EDGE
        parts.append(_rule(_LEFT, WIDTH - _RIGHT, y, f'stroke="{color}" stroke-width="0.8"'))
        parts.append(_text(_LEFT - 8, y + 3.4, write(tick), anchor="end"))
    return "".join(parts)


def _legend(entries: Sequence[tuple[str, str]], mark: Mark | None = None) -> str:
    parts, x = [], float(_LEFT)
    for label, color in entries:
        parts.append(f'<rect x="{x:.1f}" y="4" width="9" height="9" rx="2" fill="{color}"/>')
        parts.append(_text(x + 13, 12, label, color=_INK))
        x += 13 + len(label) * 5.4 + 14
    if mark:
        parts.append(_dashed(x, x + 16, 8.5) + _text(x + 20, 12, mark.label, color=_INK))
    return "".join(parts)


def _rule(left: float, right: float, y: float, style: str) -> str:
    return f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}" {style}/>'


def _dashed(left: float, right: float, y: float) -> str:
    return _rule(left, right, y, f'stroke="{_TEXT}" stroke-width="0.9" stroke-dasharray="4 3"')


def _path(points: Sequence[tuple[float, float] | None], line: Line) -> str:
    """Draw runs of points; a point with a gap on both sides becomes a dot."""
    parts: list[str] = []
    run: list[tuple[float, float]] = []
    for point in [*points, None]:
        if point:
            run.append(point)
        elif run:
            parts.append(_run(run, line))
            run = []
    return "".join(parts)


def _run(run: Sequence[tuple[float, float]], line: Line) -> str:
    if len(run) == 1:
        return f'<circle cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="1.8" fill="{line.color}"/>'
    steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in run)
    return (
        f'<path d="M{steps}" fill="none" stroke="{line.color}" stroke-width="{line.weight}" '
        'stroke-linejoin="round" stroke-linecap="round"/>'
    )


def _bar(axis: Axis, plot: _Plot, start_ms: int, below: float, value: float, color: str) -> str:
    left, right = axis.x(max(start_ms, axis.start_ms)), axis.x(min(start_ms + axis.bucket_ms, axis.end_ms))
    gap = min(1.0, (right - left) * 0.15)
    top, bottom = plot.y(below + value), plot.y(below)
    return (
        f'<rect x="{left + gap / 2:.2f}" y="{top:.2f}" width="{max(0.5, right - left - gap):.2f}" '
        f'height="{max(0.4, bottom - top):.2f}" fill="{color}"/>'
    )


def _outline(spread: Spread, axis: LogAxis, plot: _Plot) -> str:
    """Draw a distribution as steps: a light area within a line."""
    points = [(axis.x(spread.bands[0][0]), float(plot.bottom))]
    for low, high, share in spread.bands:
        points += [(axis.x(low), plot.y(share)), (axis.x(high), plot.y(share))]
    points.append((points[-1][0], float(plot.bottom)))
    steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dashes = f' stroke-dasharray="{spread.dashes}"' if spread.dashes else ""
    return (
        f'<path d="M{steps}" fill="{spread.color}" fill-opacity="0.28" stroke="{spread.color}" '
        f'stroke-width="1.4" stroke-linejoin="round"{dashes}/>'
    )


def _times(axis: Axis, plot: _Plot) -> str:
    return "".join(_tick(axis.x(at_ms), plot, label) for at_ms, label in time_ticks(axis))


def _tick(x: float, plot: _Plot, label: str) -> str:
    anchor = "end" if x > WIDTH - _RIGHT - 18 else "middle"
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{plot.bottom}" y2="{plot.bottom + 4}" stroke="{_EDGE}" '
        f'stroke-width="0.8"/>{_text(x, plot.bottom + 15, label, anchor=anchor)}'
    )


def time_ticks(axis: Axis) -> list[tuple[int, str]]:
    """Return round local times within the axis with their labels, at most nine."""
    minutes = (axis.end_ms - axis.start_ms) / _MINUTE
    for step in _TIME_STEPS_MIN:
        if minutes / step <= _MOST_LABELS:
            return _ticks(axis, timedelta(minutes=step), _clock_label)
    days = minutes / 1440
    step = next((step for step in _DAY_STEPS if days / step <= _MOST_LABELS), ceil(days / _MOST_LABELS))
    return _ticks(axis, timedelta(days=step), _date_label)


def _ticks(axis: Axis, step: timedelta, label: Callable[[datetime], str]) -> list[tuple[int, str]]:
    """Count local wall-clock time from midnight, so that labels stay round over a change of the clocks."""
    zone = ZoneInfo(axis.zone)
    at = clock.from_ms(axis.start_ms).astimezone(zone).replace(tzinfo=None)
    at = at.replace(hour=0, minute=0, second=0, microsecond=0)
    found: dict[int, str] = {}
    while (at_ms := clock.to_ms(at.replace(tzinfo=zone))) <= axis.end_ms:
        if at_ms >= axis.start_ms:
            found.setdefault(at_ms, label(at))
        at += step
    return sorted(found.items())


def _clock_label(at: datetime) -> str:
    return _date_label(at) if (at.hour, at.minute) == (0, 0) else f"{at:%H:%M}"


def _date_label(at: datetime) -> str:
    return f"{at.day} {at:%b}"
