"""Counts, gaps and sentences of expressions, worked out by hand."""

from collections import Counter
from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine.errors import InvalidInput
from engine.lib.cron import facts, grammar
from engine.lib.cron.words import describe
from tests.lib import cron_oracle

DAY_S = 86_400
SINCE = date(2026, 1, 1)  # a Thursday
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
JANUARY = cron_oracle.wall_minutes("UTC", START, START + 31 * DAY_S - 60)


def of(text):
    return facts.frequency(grammar.parse(text), SINCE)


def test_every_quarter_hour():
    found = of("*/15 * * * *")
    assert (found.per_hour, found.per_day, found.per_year) == (4, 96, 96 * 365)
    assert (found.shortest_gap_s, found.longest_gap_s, found.usual_gap_s) == (900, 900, 900)


def test_office_hours():
    found = of("*/15 9-17 * * 1-5")
    assert (found.per_hour, found.per_day) == (4, 36)
    assert found.days_per_year == 261  # 365 days from a Thursday: 52 weeks and one Thursday
    assert found.per_year == 36 * 261
    assert (found.shortest_gap_s, found.usual_gap_s) == (900, 900)
    assert found.longest_gap_s == (6 + 48 + 9) * 3600 + 15 * 60  # Friday 17:45 to Monday 09:00
    assert found.busiest_hour == 9
    assert found.busiest_hours == tuple(range(9, 18))


def test_uneven_step_has_a_short_gap():
    found = of("*/25 * * * *")
    assert (found.shortest_gap_s, found.longest_gap_s, found.usual_gap_s) == (600, 1500, 1500)


def test_leap_day_has_gaps_but_no_run_in_this_year():
    found = of("0 0 29 2 *")
    assert (found.per_year, found.busiest_hour) == (0, None)
    assert found.shortest_gap_s == found.longest_gap_s == 1461 * DAY_S


def test_yearly_job():
    found = of("@yearly")
    assert found.per_year == 1
    assert (found.shortest_gap_s, found.longest_gap_s) == (365 * DAY_S, 366 * DAY_S)


def test_too_rare_for_a_gap():
    assert of("0 0 29 2 */7").usual_gap_s is None  # 29 February on a Sunday: 2032, 2060


@given(st.randoms(use_true_random=False))
@hypothesis_settings(max_examples=10)
def test_frequency_is_that_of_brute_force(rng):
    text = cron_oracle.random_expression(rng).rsplit(" ", 2)[0] + " * *"
    runs = cron_oracle.runs(cron_oracle.Job(text), JANUARY)
    gaps = [second - first for first, second in pairwise(runs)]
    try:
        found = facts.frequency(grammar.parse(text), SINCE)
    except InvalidInput:
        return
    if gaps:
        assert found.shortest_gap_s <= min(gaps)
        assert found.longest_gap_s >= max(gaps)
    assert set(Counter(run // 3600 for run in runs).values()) <= {found.per_hour}


def test_week_counts_runs_by_day_and_hour():
    rows = facts.week(grammar.parse("0,30 8,20 * * mon"), datetime(2026, 1, 1))
    assert [sum(row) for row in rows] == [0, 0, 0, 0, 4, 0, 0]  # the fifth day from a Thursday is a Monday
    assert rows[4][8] == rows[4][20] == 2


@pytest.mark.parametrize(
    ("at", "today"),
    [
        ((0, 0), {8: 3, 20: 3}),
        ((8, 14), {8: 3, 20: 3}),
        ((8, 15), {8: 2, 20: 3}),
        ((8, 45), {20: 3}),
        ((9, 0), {20: 3}),
        ((23, 59), {}),
    ],
)
def test_a_week_leaves_out_what_has_passed_today(at, today):
    rows = facts.week(grammar.parse("15,30,45 8,20 * * *"), datetime(2026, 1, 1, *at))
    assert {hour: n for hour, n in enumerate(rows[0]) if n} == today
    assert [sum(row) for row in rows[1:]] == [6] * 6


def test_next_day_looks_far():
    assert facts.next_day(grammar.parse("0 0 29 2 */7"), SINCE) == date(2032, 2, 29)
    assert facts.next_day(grammar.parse("0 0 29 2 */7"), date(2072, 3, 1)) == date(2088, 2, 29)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("30 2 * * *", "At 02:30"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("0 14 * * 1-5", "At 14:00, Monday through Friday"),
        ("@daily", "At 00:00"),
        ("0 0 13 * 5", "At 00:00, on day 13 of the month, or on Friday"),
        (
            "0 0 */2 * 1",
            "At 00:00, on day 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29 and 31 of the month",
        ),
        ("*/90 * * * *", "At minute 0"),
        ("0 0 * * fri-mon", "At 00:00, on Mon, Fri, Sat and Sun"),
        ("*,5 * * * *", "Every minute"),
        ("0 0 5,* * *", "At 00:00"),
        ("0 9 * * 0-7", "At 09:00"),
        ("* 12-13,4 * * *", "Every minute past hour 4, 12 and 13"),
        ("*/15 9,17 * * *", "Every 15 minutes past hour 9 and 17"),
        ("*/25 9,17 * * *", "At minute 0, 25 and 50 past hour 9 and 17"),
        ("1-5/2,*/20 3 1 6 *", "At minute 0, 1, 3, 5, 20 and 40 past hour 3, on day 1 of the month, in Jun"),
    ],
)
def test_description(text, sentence):
    assert describe(grammar.parse(text)).startswith(sentence)


@given(st.randoms(use_true_random=False))
def test_every_valid_expression_has_a_description(rng):
    try:
        parsed = grammar.parse(cron_oracle.random_expression(rng))
    except InvalidInput:
        return
    assert describe(parsed)
    assert facts.plainly(parsed)
