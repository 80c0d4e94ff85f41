"""How numbers and times read. Expected texts are written by hand."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from engine.ui import format

BERLIN = ZoneInfo("Europe/Berlin")
SUMMER_MS = int(datetime(2025, 7, 1, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.4, "0.4 ms"),
        (84.2, "84 ms"),
        (999, "999 ms"),
        (6_200, "6.2 s"),
        (42_000, "42 s"),
        (59_999, "1 min"),
        (185_000, "3 min 5 s"),
        (7_800_000, "2 h 10 min"),
        (187_200_000, "2 d 4 h"),
    ],
)
def test_durations(ms, text):
    assert format.duration(ms) == text


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1_400, "1.4 kB"),
        (48_000, "48 kB"),
        (1_400_000, "1.4 MB"),
        (3e9, "3.0 GB"),
    ],
)
def test_sizes(n, text):
    assert format.size(n) == text


def test_counts_shares_and_plurals():
    assert format.count(1204) == "1,204"
    assert format.count(None) == format.percent(None) == "–"
    assert format.percent(0.0425) == "4.2 %"
    assert [format.plural(n, "task") for n in (0, 1, 1200)] == ["0 tasks", "1 task", "1,200 tasks"]


def test_moments_are_in_the_viewers_zone_and_utc_on_demand():
    assert format.moment(SUMMER_MS, BERLIN) == "1 Jul 2025, 14:00:05"
    assert format.clock_time(SUMMER_MS, BERLIN) == "14:00:05"
    assert format.utc(SUMMER_MS) == "2025-07-01 12:00:05 UTC"
    assert format.moment(None, BERLIN) == format.utc(None) == "–"


def test_the_year_is_left_out_while_it_is_this_year(wall):
    assert format.moment(int(wall.now_s * 1000), BERLIN) == "1 Dec, 13:00:00"


@pytest.mark.parametrize(
    ("gap_ms", "text"),
    [
        (400, "just now"),
        (-12_300, "12 s ago"),
        (-185_000, "3 min ago"),
        (240_000, "in 4 min"),
        (-7_300_000, "2 h ago"),
        (200_000_000, "in 2 d"),
    ],
)
def test_relative_times(gap_ms, text):
    assert format.relative(SUMMER_MS + gap_ms, SUMMER_MS) == text


def test_an_unknown_zone_is_utc():
    assert format.zone("Mars/Olympus").key == format.zone(None).key == format.zone("../etc").key == "UTC"


@pytest.mark.parametrize(
    "hostile",
    ["![x](http://evil/p.png)", "[click](javascript:1)", ":red[x]", "# big", "`code`", "<b>x</b>", "$x$"],
)
def test_text_from_outside_is_never_markdown(hostile):
    shown = format.plain(hostile)
    assert shown.replace("\\", "") == hostile
    assert all(shown[i - 1] == "\\" for i, c in enumerate(shown) if c in "![](){}<>`:#$*_" and c != "\\")


def test_a_sentence_begins_with_a_capital_and_keeps_the_rest():
    assert format.sentence("address not allowed: HTTP") == "Address not allowed: HTTP"
    assert format.sentence("") == ""
