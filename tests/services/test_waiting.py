from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from engine import clock, lifecycle, registry, tasks
from engine.lifecycle import Ending
from engine.records import db, workers
from engine.records import tasks as task_rows
from engine.services import waiting
from engine.words import Actor, Outcome, Role

OPS = Actor("olga", Role.OPS)
NOON = 1_764_590_400  # 2025-12-01T12:00:00Z


@pytest.fixture(autouse=True)
def house(data_dir, monkeypatch):
    tasks.load()
    monkeypatch.setattr(clock, "_wall", lambda: NOON)


def submit(**options):
    return lifecycle.submit(OPS, "probe", {}, **options).task


def register_worker(types="probe", threads=2, heard_s_ago=0):
    row = {"id": f"w-{types}", "host": "h", "host_key": "k", "pid": 1, "start_ticks": 1, "threads": threads}
    at_ms = (NOON - heard_s_ago) * 1000
    with db.main().write() as tx:
        workers.register(tx, {**row, "version": "1", "types": types, "started_at_ms": at_ms})


def run_one(duration_ms):
    task = lifecycle.claim("w-probe", registry.all_types())
    lifecycle.settle(task, Ending(Outcome.SUCCEEDED, duration_ms=duration_ms))


def test_scheduled_task_names_the_time_in_the_readers_zone():
    task = submit(run_at_ms=(NOON + 7200) * 1000)
    assert waiting.why(task, ZoneInfo("Europe/Berlin")).sentence == "Scheduled for 01 Dec 15:00 CET, in 2 h."


def test_paused_queue_names_who_paused_it_and_when():
    task = submit()
    lifecycle.pause(OPS, "*", "database move")
    assert waiting.why(task, UTC).sentence == "The queue was paused by olga at 12:00 UTC: database move."


def test_without_any_worker_it_says_how_to_start_one():
    assert waiting.why(submit(), UTC).sentence == "No worker has ever run. Start one: ./offload up"


def test_silent_worker_is_no_worker():
    register_worker(heard_s_ago=40)
    assert waiting.why(submit(), UTC).sentence.startswith("No worker has been alive for 40 s.")


def test_live_worker_without_the_code_is_named_as_the_reason():
    register_worker(types="report")
    assert waiting.why(submit(), UTC).code == "no_code"


def test_retry_counts_down_and_says_why():
    submit()
    task = lifecycle.claim("w", registry.all_types())
    ending = Ending(Outcome.FAILED, error=("net", "no route to host."), delay_s=240)
    lifecycle.settle(task, ending)
    again = task_rows.get(db.main(), task.id)
    assert waiting.why(again, UTC).sentence == "Retry 1 of 2 in 4 min after: no route to host."


def test_place_in_line_is_estimated_from_measured_durations():
    register_worker(threads=2)
    for duration_ms in [8000] * 9 + [16000]:
        submit()
        run_one(duration_ms)
    for _ in range(12):
        submit()
    reason = waiting.why(submit(), UTC)
    # 12 ahead x 8 s / 2 threads; the last decile of the ten measured is 16 s
    assert reason.sentence == "12 ahead, about 48 s (48 s to 96 s, from 10 measured)."


def test_task_that_does_not_wait_has_no_reason():
    register_worker()
    submit()
    task = lifecycle.claim("w-probe", registry.all_types())
    assert waiting.why(task, UTC) is None
