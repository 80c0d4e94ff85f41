"""The public verbs: bounds, cache, and what schedules need."""

from datetime import UTC, datetime, timedelta

import pytest

from engine import clock, settings
from engine.errors import InvalidInput
from engine.lib import cron

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000


def ms(text):
    return clock.to_ms(datetime.fromisoformat(text))


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(cron, "_memory", cron.Memory())


def test_runs_are_strictly_after_the_start_and_in_the_zone():
    found = cron.next_runs("0 9 * * *", "America/New_York", datetime(2026, 3, 7, 14, tzinfo=UTC), 2)
    assert [run.isoformat() for run in found.runs] == [
        "2026-03-08T09:00:00-04:00",
        "2026-03-09T09:00:00-04:00",
    ]
    assert found.truncated is None


def test_a_start_between_seconds_counts():
    at = datetime(2026, 1, 1, 8, 59, 59, 999_999, tzinfo=UTC)
    assert cron.next_runs("0 9 * * *", "UTC", at, 1).runs[0].isoformat() == "2026-01-01T09:00:00+00:00"
    at += timedelta(microseconds=1)
    assert cron.next_runs("0 9 * * *", "UTC", at, 1).runs[0].isoformat() == "2026-01-02T09:00:00+00:00"


def test_leap_day_is_beyond_the_horizon():
    found = cron.next_runs("0 0 29 2 *", "UTC", START, 3)
    assert (found.runs, found.truncated) == ((), "horizon")
    found = cron.next_runs("0 0 29 2 *", "UTC", datetime(2027, 6, 1, tzinfo=UTC), 3)
    assert ([run.isoformat() for run in found.runs], found.truncated) == (
        ["2028-02-29T00:00:00+00:00"],
        "horizon",
    )


def test_horizon_is_365_days_inclusive():
    assert cron.next_runs("0 0 1 1 *", "UTC", START, 1).runs == (datetime(2027, 1, 1, tzinfo=UTC),)
    assert cron.next_runs("1 0 1 1 *", "UTC", START + timedelta(minutes=1), 1).runs == (
        datetime(2027, 1, 1, 0, 1, tzinfo=UTC),
    )


def test_a_calculation_gives_at_most_a_thousand_runs():
    whole = cron.next_runs("* * * * *", "UTC", START, 1000)
    assert (len(whole.runs), whole.truncated) == (1000, None)
    more = cron.next_runs("* * * * *", "UTC", START, 10**9)
    assert (more.runs, more.truncated) == (whole.runs, "iterations")


def test_many_runs_are_enumerated_and_agree_with_the_few(monkeypatch):
    rare, zone = "44 2-13 21-31 * sat-2/4", "Europe/Berlin"
    few = cron.next_runs(rare, zone, START, 20).runs
    monkeypatch.setattr(cron, "_memory", cron.Memory())
    monkeypatch.setattr(cron, "walk", None)  # 1,000 steps of croniter cost 0.13 s here
    many = cron.next_runs(rare, zone, START, 1000)
    assert (many.runs[:20], len(many.runs), many.truncated) == (few, 1000, None)


@pytest.mark.parametrize("count", [0, -1])
def test_count_below_one_is_refused(count):
    with pytest.raises(InvalidInput) as caught:
        cron.next_runs("* * * * *", "UTC", START, count)
    assert caught.value.code == "invalid_count"


def test_default_start_is_now(monkeypatch):
    monkeypatch.setattr(clock, "_wall", lambda: START.timestamp())
    assert cron.next_runs("*/5 * * * *", "UTC", count=1).runs == (START + timedelta(minutes=5),)


def test_results_are_kept_and_past_runs_dropped(monkeypatch):
    first = cron.next_runs("*/10 * * * *", "UTC", START, 10)
    monkeypatch.setattr(cron, "walk", None)  # calculating again would fail
    later = cron.next_runs("*/10 *  * * *", "UTC", START + timedelta(minutes=25), 8)
    assert later.runs == first.runs[2:]


def test_results_are_not_used_for_more_or_earlier_or_older_or_elsewhere(monkeypatch):
    cron.next_runs("*/10 * * * *", "UTC", START, 10)
    more = cron.next_runs("*/10 * * * *", "UTC", START + timedelta(minutes=25), 10)
    assert len(more.runs) == 10
    earlier = cron.next_runs("*/10 * * * *", "UTC", START - timedelta(hours=1), 2)
    assert earlier.runs[0] == START - timedelta(minutes=50)
    began = clock.elapsed()
    monkeypatch.setattr(clock, "elapsed", lambda: began + settings.get().cron_cache_s + 100)
    monkeypatch.setattr(cron, "walk", lambda *_: iter([0]))
    assert cron.next_runs("*/10 * * * *", "UTC", START, 1).runs == (datetime(1970, 1, 1, tzinfo=UTC),)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-03-28T00:00:00+01:00", "2026-03-27T23:00:00+00:00"),
        ("2026-03-28T00:00:00Z", "2026-03-28T00:00:00+00:00"),
        ("2026-03-28T00:00:00-09:30", "2026-03-28T09:30:00+00:00"),
        ("2026-03-28T00:00:00", "2026-03-27T23:00:00+00:00"),  # Berlin's clock
        (" 2026-07-01 ", "2026-06-30T22:00:00+00:00"),
    ],
)
def test_starts(text, iso):
    assert cron.moment(text, "Europe/Berlin").astimezone(UTC).isoformat() == iso


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-03-28T00:00:00 01:00",
        "2026-03-28T00:00:00\0",
        "2026-03-28\n00:00",
        "1969-12-31",
        "9999-01-01",
    ],
)
def test_other_starts_are_refused(text):
    with pytest.raises(InvalidInput) as caught:
        cron.moment(text, "UTC")
    assert caught.value.code == "invalid_start"


def test_next_after_goes_as_far_as_it_takes():
    assert cron.next_after("0 0 29 2 *", "UTC", ms("2026-01-01T00:00:00Z")) == ms("2028-02-29T00:00:00Z")
    berlin = cron.next_after("30 5 29 2 */7", "Europe/Berlin", ms("2026-01-01T00:00:00Z"))
    assert berlin == ms("2032-02-29T05:30:00+01:00")
    assert cron.next_after("@yearly", "UTC", ms("2026-01-01T00:00:00Z")) == ms("2027-01-01T00:00:00Z")


def test_next_after_remembers_between_two_runs_only(monkeypatch):
    at = ms("2026-01-01T00:00:00Z")
    assert cron.next_after("0 6 * * *", "UTC", at) == at + DAY_MS // 4
    monkeypatch.setattr(cron, "walk", None)
    assert cron.next_after("0 6 * * *", "UTC", at + 5) == at + DAY_MS // 4
    with pytest.raises(TypeError):
        cron.next_after("0 6 * * *", "UTC", at + DAY_MS // 4)
    with pytest.raises(TypeError):
        cron.next_after("0 6 * * *", "UTC", at - 1)


def test_occurrences_between_include_the_end_and_not_the_beginning():
    begin, end = ms("2026-01-01T00:00:00Z"), ms("2026-01-01T03:00:00Z")
    hours = [begin + n * 3_600_000 for n in (1, 2, 3)]
    assert cron.occurrences_between("@hourly", "UTC", begin, end, 100) == hours
    assert cron.occurrences_between("@hourly", "UTC", begin, end, 2) == hours[:2]
    assert cron.occurrences_between("@hourly", "UTC", begin, begin, 2) == []


def test_validate_names_expression_and_zone_faults():
    assert cron.validate("@daily", "UTC").text == "0 0 * * *"
    with pytest.raises(InvalidInput):
        cron.validate("* * * *")
    with pytest.raises(InvalidInput) as caught:
        cron.validate("* * * * *", "Mars/Olympus")
    assert caught.value.code == "unknown_zone"


def test_frequency_counts_from_the_local_date():
    found = cron.frequency("@daily", "Pacific/Auckland", datetime(2026, 6, 1, 13, tzinfo=UTC))
    assert (found.since, found.per_year) == ("2026-06-02", 365)


def test_week():
    assert sum(map(sum, cron.week("*/30 * * * *", datetime(2026, 1, 1, 0, 10)))) == 7 * 48 - 1
