import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine.lib.histogram import Histogram
from engine.records import db, rollups
from engine.records.metrics import Series, SeriesIds
from engine.records.rollups import DAY_MS, HOUR_MS, MINUTE_MS, Rollup

SERIES = Series("shop", "http", "/orders", "GET", "2xx")
START = 20_000 * DAY_MS


def add(at_ms, duration_us):
    rollup = Rollup(n_good=1, n_queries=2, query_us=3, histogram=Histogram.of([duration_us]))
    with db.metrics().write() as tx:
        rollups.add_minutes(tx, SeriesIds(), {(rollups.floor(at_ms, MINUTE_MS), SERIES): rollup})


def roll(now_ms):
    for tier in (HOUR_MS, DAY_MS):
        more = True
        while more:
            with db.metrics().write() as tx:
                more = rollups.roll_forward(tx, tier, now_ms)


def summed(tier_ms):
    total = Rollup()
    for row in db.metrics().read("select * from rollups where tier_ms = :tier", tier=tier_ms):
        assert row["n"] == Histogram.from_bytes(row["histogram"]).count
        total.merge(rollups.from_row(row))
    return total


def test_events_of_one_minute_share_a_row(data_dir):
    add(START, 10)
    add(START + 59_999, 30)
    add(START + 60_000, 50)
    rows = db.metrics().read("select * from rollups order by bucket_at_ms")
    assert [(row["n"], row["sum_us"], row["n_queries"]) for row in rows] == [(2, 40, 4), (1, 50, 2)]


def test_a_bucket_is_rolled_up_once_it_is_over(data_dir):
    add(START + 5, 10)
    roll(START + HOUR_MS - 1)
    assert summed(HOUR_MS).histogram.count == 0
    roll(START + HOUR_MS)
    assert summed(HOUR_MS).histogram.count == 1
    roll(START + HOUR_MS)
    assert summed(HOUR_MS).histogram.count == 1


@hypothesis_settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(0, 3 * DAY_MS), st.integers(0, 10**7)), min_size=1, max_size=25),
    st.lists(st.integers(0, 4 * DAY_MS), max_size=4),
)
def test_every_tier_is_the_sum_of_the_raw_events_whatever_the_order(
    tmp_path_factory, monkeypatch, events, beats
):
    """Late events, a clock that goes back, beats in between: rollup of rollups = rollup of raw."""
    monkeypatch.setenv("OFFLOAD_DATA_DIR", str(tmp_path_factory.mktemp("data")))
    db.reset()
    for number, (offset, duration_us) in enumerate(events):
        add(START + offset, duration_us)
        if number < len(beats):
            roll(START + beats[number])
    roll(START + 10 * DAY_MS)
    expected = Histogram.of([duration for _, duration in events])
    for tier in (MINUTE_MS, HOUR_MS, DAY_MS):
        assert summed(tier).histogram == expected
        assert summed(tier).n_queries == 2 * len(events)
    db.reset()


def test_the_distribution_of_a_day_is_that_of_its_minutes_in_their_buckets(data_dir):
    for hour in range(24):
        add(START + hour * HOUR_MS, 100 * (hour + 1))
    roll(START + 2 * DAY_MS)
    (day,) = db.metrics().read("select * from rollups where tier_ms = :tier", tier=DAY_MS)
    assert day["bucket_at_ms"] == START
    assert rollups.from_row(day).histogram == Histogram.of([100 * (hour + 1) for hour in range(24)])


def test_minutes_that_are_not_rolled_up_are_not_trimmed(data_dir):
    add(START, 10)
    with db.metrics().write() as tx:
        assert not rollups.trim(tx, MINUTE_MS, START + 30 * DAY_MS)
    roll(START + HOUR_MS)
    with db.metrics().write() as tx:
        assert rollups.trim(tx, MINUTE_MS, START + 30 * DAY_MS)
        assert not rollups.trim(tx, MINUTE_MS, START + 30 * DAY_MS)
    assert summed(HOUR_MS).histogram.count == 1
    assert summed(MINUTE_MS).histogram.count == 0


def test_a_bucket_is_kept_until_its_end_is_past_its_time(data_dir):
    add(START, 10)
    roll(START + HOUR_MS)
    with db.metrics().write() as tx:
        assert not rollups.trim(tx, MINUTE_MS, START + MINUTE_MS - 1)
        assert rollups.trim(tx, MINUTE_MS, START + MINUTE_MS)


@pytest.mark.parametrize(("at", "tier", "start"), [(119_999, MINUTE_MS, 60_000), (DAY_MS, DAY_MS, DAY_MS)])
def test_floor_is_the_start_of_the_bucket(at, tier, start):
    assert rollups.floor(at, tier) == start
