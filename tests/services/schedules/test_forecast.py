"""The forecast of a small plan, worked out by hand."""

import pytest

from engine import clock, lifecycle
from engine.lifecycle import Ending
from engine.records import db, workers
from engine.services.schedules.forecast import forecast
from engine.words import Outcome
from tests import engine_kit as kit
from tests import schedule_kit as made

HOUR = 60


@pytest.fixture(autouse=True)
def house(data_dir, no_types, wall):
    kit.add_type()
    kit.add_type("slow")
    made.add_people()


def measure(type_name, duration_ms):
    kit.submit(type_name)
    lifecycle.settle(kit.claim(), Ending(Outcome.SUCCEEDED, duration_ms=duration_ms))


def register_worker(threads):
    row = {"id": "w", "host": "h", "host_key": "k", "pid": 1, "start_ticks": 1, "threads": threads}
    with db.main().write() as tx:
        workers.register(tx, {**row, "version": "1", "types": "job", "started_at_ms": clock.now_ms()})


def test_counts_tasks_by_minute(wall):
    made.add(cron="30 * * * *")
    made.add(name="b", cron="30 12 * * *", zone="UTC")
    made.add(name="paused", cron="* * * * *", enabled=False)
    wall.advance(30)
    found = forecast(kit.ANN)
    assert found.since_ms == kit.NOON_MS
    assert found.total == 7 * 24 + 7
    assert (found.runs[29], found.runs[30], found.runs[90]) == (0, 2, 1)
    assert found.busiest()[0] == (kit.NOON_MS + 30 * made.MINUTE_MS, 2)
    assert found.hours()[0] == {"at_ms": kit.NOON_MS, "runs": 2, "most_per_minute": 2, "busy": 0}


def test_start_and_end_bound_it():
    made.add(cron="@hourly", start="2025-12-01T15:00:00Z", end="2025-12-01T17:00:00Z")
    assert forecast(kit.ANN).total == 3


def test_says_when_the_workers_would_be_full():
    measure("slow", 150_000)
    register_worker(threads=2)
    for name in ("a", "b"):
        made.add(name=name, type="slow", cron="0 13 * * *")
    found = forecast(kit.ANN)
    assert found.busy[60:64] == [2.0, 2.0, 1.0, 0]
    at = kit.NOON_MS + HOUR * made.MINUTE_MS
    assert found.full()[0] == (at, at + 2 * made.MINUTE_MS)
    assert len(found.full()) == 7
    assert (found.n_threads, found.n_schedules, found.n_measured) == (2, 2, 2)


def test_without_workers_or_measurements_it_says_so():
    made.add()
    found = forecast(kit.ANN)
    assert (found.n_threads, found.n_measured, found.full()) == (0, 0, [])
    document = found.document()
    assert document["total"] == 7 * 288
    assert len(document["hours"]) == 168


def test_shows_only_what_the_actor_may_see():
    made.add(actor=kit.BOB, cron="@daily")
    assert forecast(kit.ANN).total == 0
    assert forecast(kit.OPS).total == 7
