"""Charts say what the numbers say: scales, gaps, labels in the reader's time."""

import re
from xml.etree import ElementTree

import pytest

from engine.services.reports import charts, wording
from engine.services.reports.charts import (
    Axis,
    Line,
    LogAxis,
    Spread,
    bar_chart,
    line_chart,
    spread_chart,
    time_ticks,
)

START_MS = 1_795_392_000_000  # 2026-11-23T00:00:00Z
HOUR_MS = 3_600_000


def axis(hours=24, n=24, zone="UTC", start_ms=START_MS):
    width = hours * HOUR_MS // n
    return Axis([start_ms + at * width for at in range(n)], width, start_ms, start_ms + hours * HOUR_MS, zone)


def parse(svg):
    return ElementTree.fromstring(str(svg))


def labels(svg):
    return [text.text for text in parse(svg).iter("text")]


@pytest.mark.parametrize(
    ("largest", "ticks"),
    [
        (3.2, [0, 1, 2, 3, 4]),
        (970, [0, 250, 500, 750, 1000]),
        (0, [0, 1]),
        (1000, [0, 250, 500, 750, 1000]),
        (0.07, [0, 0.02, 0.04, 0.06, 0.08]),
    ],
)
def test_value_axis_has_round_steps_up_to_the_largest(largest, ticks):
    assert charts._Plot(largest, 200).ticks == pytest.approx(ticks)


def test_gap_interrupts_the_line_and_a_lone_point_is_a_dot():
    values = [1.0, 2.0, None, 3.0, None, 1.0, 2.0, 3.0]
    svg = parse(line_chart(axis(n=8), [Line("p95", "#000", values)], wording.count, alt="x"))
    assert [path.get("d").count("L") for path in svg.iter("path")] == [1, 2]
    assert len(list(svg.iter("circle"))) == 1


def test_points_stand_at_the_middle_of_their_bucket_and_at_their_height():
    svg = parse(line_chart(axis(n=2), [Line("a", "#000", [0.0, 4.0])], wording.count, alt="x", height=200))
    (x0, y0), (x1, y1) = re.findall(r"([\d.]+) ([\d.]+)", next(svg.iter("path")).get("d"))
    inner = charts.WIDTH - 58 - 8
    assert (float(x0), float(x1)) == pytest.approx((58 + inner / 4, 58 + inner * 3 / 4), abs=0.1)
    assert (float(y0), float(y1)) == pytest.approx((176, 26))


def test_stacked_bars_add_up():
    svg = parse(
        bar_chart(
            axis(n=1),
            [Line("ok", "#0f0", [30.0]), Line("bad", "#f00", [10.0])],
            wording.count,
            alt="x",
            height=200,
        )
    )
    bars = {bar.get("fill"): bar for bar in svg.iter("rect") if bar.get("rx") is None}
    heights = {color: float(bar.get("height")) for color, bar in bars.items()}
    assert heights["#0f0"] == pytest.approx(3 * heights["#f00"], rel=0.01)
    assert float(bars["#f00"].get("y")) + heights["#f00"] == pytest.approx(
        float(bars["#0f0"].get("y")), abs=0.1
    )


def test_chart_without_values_is_still_a_chart():
    for svg in (
        line_chart(axis(), [Line("a", "#000", [None] * 24)], wording.count, alt="x"),
        bar_chart(axis(), [Line("a", "#000", [0] * 24)], wording.count, alt="x"),
    ):
        assert "03:00" in labels(svg)


def test_text_is_escaped():
    svg = line_chart(axis(n=1), [Line("<b>&", "#000", [1.0])], wording.count, alt='"<x>')
    assert "<b>&" in labels(svg)
    assert parse(svg).get("aria-label") == '"<x>'


@pytest.mark.parametrize(
    ("hours", "zone", "expected"),
    [
        (1, "UTC", ["23 Nov", "00:10", "00:20", "00:30", "00:40", "00:50", "01:00"]),
        (24, "UTC", ["23 Nov", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "24 Nov"]),
        (24, "Asia/Kolkata", ["06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "24 Nov", "03:00"]),
        (24 * 7, "UTC", ["23 Nov", "24 Nov", "25 Nov", "26 Nov", "27 Nov", "28 Nov", "29 Nov", "30 Nov"]),
    ],
)
def test_times_are_round_in_the_readers_zone(hours, zone, expected):
    assert [label for _, label in time_ticks(axis(hours, zone=zone))] == expected


def test_labels_stay_round_over_a_change_of_the_clocks():
    start_ms = 1_792_879_200_000  # 2026-10-25T00:00 in Berlin, the night the clocks go back
    ticks = time_ticks(axis(24, zone="Europe/Berlin", start_ms=start_ms))
    assert [label for _, label in ticks][:4] == ["25 Oct", "03:00", "06:00", "09:00"]
    assert ticks[1][0] - ticks[0][0] == 4 * HOUR_MS


@pytest.mark.parametrize("hours", [1, 5, 20, 40, 100, 24 * 30, 24 * 90, 24 * 399])
def test_there_are_never_too_many_labels(hours):
    assert 2 <= len(time_ticks(axis(hours))) <= 10


def test_bands_of_a_distribution_stand_where_their_durations_are():
    before = Spread("Before", "#777", [(100.0, 1000.0, 0.25), (1000.0, 10_000.0, 0.75)], "3 2")
    after = Spread("After", "#00f", [(1.0, 10.0, 1.0)])
    svg = parse(spread_chart([before, after], wording.tick_duration, alt="x", height=200))
    assert labels(spread_chart([before, after], wording.tick_duration, alt="x")) == [
        *("0 %", "25 %", "50 %", "75 %", "100 %"),
        *("Before", "After"),
        *("1 ms", "10 ms", "100 ms", "1 s", "10 s"),
    ]
    first, second = (
        [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path.get("d"))]
        for path in svg.iter("path")
    )
    inner = charts.WIDTH - 58 - 8  # four decades
    assert [x for x, _ in second] == pytest.approx([58, 58, 58 + inner / 4, 58 + inner / 4], abs=0.1)
    assert [y for _, y in second] == pytest.approx([176, 26, 26, 176])
    assert [x for x, _ in first] == pytest.approx([58 + inner * at / 4 for at in (2, 2, 3, 3, 4, 4)], abs=0.1)
    assert [y for _, y in first] == pytest.approx([176, 138.5, 138.5, 63.5, 63.5, 176])
    assert [path.get("stroke-dasharray") for path in svg.iter("path")] == ["3 2", None]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1.0, 10.0, [1, 2, 5, 10]),
        (90.0, 1800.0, [100, 200, 500, 1000]),
        (0.0, 0.001, [0.0005, 0.001, 0.002]),
        (40.0, 50.0, [20, 50, 100]),
        (0.5, 50_000.0, [1, 10, 100, 1000, 10_000]),
    ],
)
def test_logarithmic_axis_spans_a_decade_at_least_and_has_round_ticks(low, high, ticks):
    axis = LogAxis.around([low], [high])
    assert axis.ticks == pytest.approx(ticks)
    assert axis.high / axis.low >= 10 * (1 - 1e-9)
    assert axis.low <= max(low, 0.001) <= high <= axis.high


def test_distribution_without_values_is_still_a_chart():
    svg = spread_chart([Spread("<b>", "#000", [])], wording.tick_duration, alt='"<x>')
    assert "<b>" in labels(svg)
    assert list(parse(svg).iter("path")) == []
