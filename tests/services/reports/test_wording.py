"""Numbers read as they are meant."""

import pytest

from engine.services.reports import wording


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "–"),
        (0, "0.0 ms"),
        (0.044, "44 µs"),
        (0.44, "440 µs"),
        (0.9996, "1.0 ms"),
        (84.2, "84 ms"),
        (999, "999 ms"),
        (1240, "1.24 s"),
        (12_345, "12.3 s"),
        (125_000, "2 min 5 s"),
    ],
)
def test_duration(ms, text):
    assert wording.duration(ms) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0, "0.0 %"),
        (0.0001, "< 0.1 %"),
        (0.0123, "1.2 %"),
        (0.31, "31 %"),
        (0.9999, "> 99.9 %"),
        (1, "100.0 %"),
    ],
)
def test_percent_never_rounds_to_none_or_all(share, text):
    assert wording.percent(share) == text


@pytest.mark.parametrize(
    ("ms", "text", "per"),
    [
        (60_000, "60 seconds", "minute"),
        (900_000, "15 minutes", "15 minutes"),
        (3_600_000, "60 minutes", "hour"),
        (86_400_000, "24 hours", "day"),
        (7 * 86_400_000, "7 days", "7 days"),
    ],
)
def test_span_and_interval(ms, text, per):
    assert (wording.span(ms), wording.interval(ms)) == (text, per)


def test_period_names_the_date_once_if_it_can():
    start_ms = 1_795_392_000_000
    assert wording.period(start_ms, start_ms + 3_600_000, "UTC") == "23 Nov 2026, 00:00 – 01:00"
    assert wording.period(start_ms, start_ms + 86_400_000, "Europe/Berlin") == (
        "23 Nov 2026, 01:00 – 24 Nov 2026, 01:00"
    )


def test_change_carries_its_sign():
    assert [wording.change(share) for share in (-0.986, 0.1204, 0)] == ["-98.6 %", "+12.0 %", "+0.0 %"]


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0"), (0.005, "5 µs"), (0.2, "200 µs"), (50, "50 ms"), (2000, "2 s"), (180_000, "3 min")],
)
def test_labels_of_an_axis_carry_their_unit(ms, text):
    assert wording.tick_duration(ms) == text


def test_count_groups_digits():
    assert wording.count(1234567) == "1,234,567"
    assert wording.count(-5) == "−5"
