"""Due moments against Debian's cron by brute force, over random expressions, zones and starts."""

import random
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine.errors import InvalidInput
from engine.lib.cron import grammar
from engine.lib.cron.runs import tally, walk
from tests.lib import cron_oracle

HOUR = 3600
ZONES = (
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/Havana",  # its gap begins at midnight
    "America/Santiago",
    "America/St_Johns",
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Chatham",  # three quarters past the hour
    "Antarctica/Troll",  # two hours
    "Asia/Gaza",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Tehran",
    "Pacific/Norfolk",
)
ODD_CHANGES = (
    # (zone, day) of changes that are no summer time, from the tz database's comments.
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # 30 December 2011 left out
    ("Pacific/Kwajalein", datetime(1993, 8, 21, 12, tzinfo=UTC)),
    ("Asia/Pyongyang", datetime(2015, 8, 14, 15, tzinfo=UTC)),  # half an hour back
    ("Asia/Pyongyang", datetime(2018, 5, 4, 15, tzinfo=UTC)),  # half an hour ahead
    ("America/Caracas", datetime(2016, 5, 1, 7, tzinfo=UTC)),
    ("Antarctica/Casey", datetime(2009, 10, 17, 18, tzinfo=UTC)),  # three hours ahead
    ("Antarctica/Casey", datetime(2010, 3, 4, 15, tzinfo=UTC)),  # three hours back
    ("Asia/Kathmandu", datetime(1985, 12, 31, 18, 30, tzinfo=UTC)),  # a quarter of an hour
    ("Europe/Moscow", datetime(2014, 10, 25, 22, tzinfo=UTC)),
)


def due(expression, zone, start, until, limit):
    return list(islice(walk(grammar.parse(expression), zone, start, until), limit))


@lru_cache(maxsize=512)
def clock_near(zone, change):
    return cron_oracle.wall_minutes(zone, change - 12 * HOUR, change + 16 * HOUR)


def compare_near(zone, change, expression, offset):
    """Compare the runs of a day that begins `offset` seconds from a change."""
    clock = clock_near(zone, change)
    start, until = change + offset, clock[-1][0]
    expected = [s for s in cron_oracle.runs(cron_oracle.Job(expression), clock) if start < s]
    try:
        found = due(expression, zone, start, until, 2000)
    except InvalidInput as error:
        assert error.code == "never_runs"
        found = []
    assert found == expected, (expression, zone, start)


@pytest.mark.parametrize("zone", ZONES)
def test_runs_near_clock_changes_are_debians(zone):
    rng = random.Random(zone)
    changes = cron_oracle.changes(zone, 2019, 2027)
    assert changes
    for _ in range(200):
        expression = cron_oracle.random_expression(rng, night=True)
        compare_near(zone, rng.choice(changes), expression, rng.randint(-4 * HOUR, 4 * HOUR))


@pytest.mark.parametrize(("zone", "at"), ODD_CHANGES)
def test_runs_near_odd_changes_are_debians(zone, at):
    rng = random.Random(f"{zone}{at}")
    change = int(at.timestamp())
    near = {
        datetime.fromtimestamp(change + s, cron_oracle.ZoneInfo(zone)).utcoffset() for s in (-90000, 90000)
    }
    assert len(near) == 2, "there is no change here"
    for _ in range(120):
        expression = cron_oracle.random_expression(rng)
        compare_near(zone, change, expression, rng.randint(-4 * HOUR, 4 * HOUR))


def test_runs_over_weeks_are_debians():
    rng = random.Random(5)
    start = int(datetime(2027, 12, 20, 23, 59, tzinfo=UTC).timestamp())
    until = start + 75 * 86400  # over a year's end and 29 February 2028
    clock = cron_oracle.wall_minutes("UTC", start, until)
    for _ in range(40):
        job = cron_oracle.random_expression(rng)
        try:
            found = due(job, "UTC", start, until, 10**6)
        except InvalidInput as error:
            assert error.code == "never_runs"
            found = []
        assert found == [s for s in cron_oracle.runs(cron_oracle.Job(job), clock) if s > start], job


@given(
    st.randoms(use_true_random=False),
    st.sampled_from(ZONES),
    st.integers(min_value=0, max_value=60 * 366 * 86400),
)
@hypothesis_settings(max_examples=150)
def test_runs_rise_and_start_late_gives_the_rest(rng, zone, start):
    expression = grammar.parse(cron_oracle.random_expression(rng).replace(" 2 ", " 3 "))
    whole = list(islice(walk(expression, zone, start, start + 90 * 86400), 30))
    assert whole == sorted(set(whole))
    assert all(run > start for run in whole)
    for index in (0, len(whole) // 2):
        if index < len(whole):
            rest = list(islice(walk(expression, zone, whole[index], start + 90 * 86400), 30 - index - 1))
            assert rest == whole[index + 1 :]


@given(st.randoms(use_true_random=False), st.sampled_from(ODD_CHANGES), st.integers(-90_000, 90_000))
@hypothesis_settings(max_examples=100)
def test_tally_is_the_same_as_walking(rng, change, offset):
    expression = grammar.parse(cron_oracle.random_expression(rng, night=True).replace(" 2 ", " 3 "))
    zone, at = change
    start = int(at.timestamp()) + offset
    until = start + 3 * 86400
    assert list(tally(expression, zone, start, until)) == list(walk(expression, zone, start, until))


def iso(expression, zone, start, n):
    begin = datetime.fromisoformat(start).timestamp()
    tz = cron_oracle.ZoneInfo(zone)
    return [
        datetime.fromtimestamp(s, tz).isoformat()
        for s in due(expression, zone, begin, begin + 365 * 86400, n)
    ]


def test_fixed_time_job_runs_at_the_end_of_the_spring_gap():
    assert iso("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00", 2) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_several_times_in_the_gap_are_one_run():
    assert iso("0,20,40 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00", 2) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:00:00+02:00",
    ]


def test_fixed_time_job_runs_on_the_first_autumn_pass_only():
    assert iso("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00", 2) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]


def test_start_in_the_second_pass_does_not_repeat_the_first():
    assert iso("30 2 * * *", "Europe/Berlin", "2026-10-25T02:10:00+01:00", 1) == ["2026-10-26T02:30:00+01:00"]


def test_star_job_follows_real_time_in_autumn():
    assert iso("*/30 * * * *", "Europe/Berlin", "2026-10-25T02:00:00+02:00", 4) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T03:00:00+01:00",
    ]


def test_star_job_makes_nothing_up_in_spring():
    assert iso("30 * * * *", "Europe/Berlin", "2026-03-29T01:00:00+01:00", 2) == [
        "2026-03-29T01:30:00+01:00",
        "2026-03-29T03:30:00+02:00",
    ]


def test_samoa_has_no_30_december_2011():
    assert iso("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00-10:00", 2) == [
        "2011-12-29T12:00:00-10:00",
        "2011-12-31T12:00:00+14:00",
    ]


def test_half_hour_change_repeats_half_an_hour_for_star_jobs_only():
    start = "2026-04-05T01:00:00+11:00"
    assert iso("45 * * * *", "Australia/Lord_Howe", start, 3) == [
        "2026-04-05T01:45:00+11:00",
        "2026-04-05T01:45:00+10:30",
        "2026-04-05T02:45:00+10:30",
    ]
    assert iso("45 1 * * *", "Australia/Lord_Howe", start, 2) == [
        "2026-04-05T01:45:00+11:00",
        "2026-04-06T01:45:00+10:30",
    ]


def test_offset_of_odd_seconds_keeps_whole_local_minutes():
    # Monrovia kept -0:44:30 until 7 January 1972.
    assert iso("0 12 * * *", "Africa/Monrovia", "1971-06-01T00:00:00+00:00", 1) == [
        "1971-06-01T12:00:00-00:44:30"
    ]


@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("0 0 1-31 * 1", "2026-06-02"),  # a full list is no star: OR, so every day
        ("0 0 */2 * 1", "2026-06-15"),  # a star prefix: AND, the next odd Monday
        ("0 0 13 * 5", "2026-06-05"),  # OR: the 13th, or any Friday
        ("0 0 * * 5-5", "2026-06-05"),  # an equal range is one value
        ("0 0 * * 1-7/3", "2026-06-04"),  # Monday, Thursday, Sunday (7)
        ("0 0 * * */7", "2026-06-07"),  # 0 and 7, both Sunday
        ("0 0 * * fri-mon", "2026-06-05"),
        ("0 0 * * sat-sun", "2026-06-06"),
        ("0 0 * * 6-0", "2026-06-06"),
        ("0 0 31 * *", "2026-07-31"),
    ],
)
def test_days_are_debians(expression, first):
    # 1 June 2026 is a Monday; the search begins when it has just begun.
    assert iso(expression, "UTC", "2026-06-01T00:00:00+00:00", 1) == [f"{first}T00:00:00+00:00"]
