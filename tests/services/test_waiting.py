from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from engine import clock, lifecycle, registry, tasks
from engine.lifecycle import Ending
from engine.queries import alerts
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


def claimed(silent_s):
    """A running task whose worker renewed its lease of 45 s that long ago, beside a worker that lives."""
    register_worker(types="report")
    submit()
    task = lifecycle.claim("w-probe", registry.all_types())
    with db.main().write() as tx:
        task_rows.renew(tx, "w-probe", [task.id], (NOON - silent_s + 45) * 1000)
    return task_rows.get(db.main(), task.id)


def test_a_task_whose_worker_beats_is_not_in_doubt():
    task = claimed(silent_s=15)  # three beats of 5 s
    assert waiting.doubt(task, UTC) == ""
    assert task.document()["stalled"] is False


def test_a_stalled_task_says_when_it_goes_back_to_the_queue():
    task = claimed(silent_s=35)
    assert waiting.doubt(task, ZoneInfo("Europe/Berlin")) == (
        "Possibly aborted: no heartbeat for 35 s; goes back to the queue at 13:00:10 CET when the lease "
        "ends. Nobody must act."
    )
    assert task.document()["stalled"] is True
    assert alerts.stalled_tasks(NOON * 1000) == 1


def test_a_stalled_task_says_who_must_act_when_no_worker_is_alive(monkeypatch):
    task = claimed(silent_s=0)
    monkeypatch.setattr(clock, "_wall", lambda: NOON + 20)
    assert waiting.doubt(task, UTC).endswith("No worker is alive to do so: ./offload up")


def test_a_task_past_its_lease_says_who_takes_it_over():
    assert waiting.doubt(claimed(silent_s=50), UTC) == (
        "Possibly aborted: no heartbeat for 50 s; the lease ended at 11:59:55 UTC, and the next live worker "
        "takes it over. Nobody must act."
    )


@pytest.mark.parametrize(("waited_s", "late"), [(60, False), (61, True)])
@pytest.mark.parametrize("run_at_s", [None, NOON + 600])
def test_a_task_that_is_due_for_more_than_a_minute_is_late(monkeypatch, run_at_s, waited_s, late):
    task = submit(run_at_ms=run_at_s and run_at_s * 1000)
    assert task.document()["late"] is False
    monkeypatch.setattr(clock, "_wall", lambda: (run_at_s or NOON) + waited_s)
    assert task.document()["late"] is late


def test_a_task_that_runs_or_has_ended_is_never_late(monkeypatch):
    task = claimed(silent_s=0)
    monkeypatch.setattr(clock, "_wall", lambda: NOON + 3600)
    assert (task.document()["late"], task.document()["stalled"]) == (False, True)
    lifecycle.settle(task, Ending(Outcome.SUCCEEDED))
    ended = task_rows.get(db.main(), task.id).document()
    assert (ended["late"], ended["stalled"]) == (False, False)


def busy(monkeypatch, n_running, measured_s, ran_s):
    """Running tasks on two threads, after some were measured; the wall clock when they have run so long."""
    register_worker(threads=2)
    for seconds in measured_s:
        submit()
        run_one(seconds * 1000)
    for _ in range(n_running):
        submit()
        lifecycle.claim("w-probe", registry.all_types())
    with db.main().write() as tx:
        workers.beat(tx, "w-probe", (NOON + ran_s) * 1000, dict.fromkeys(USAGE))
    monkeypatch.setattr(clock, "_wall", lambda: NOON + ran_s)


USAGE = ("memory_bytes", "children_memory_bytes", "cpu_percent")


def test_next_in_line_waits_for_what_is_running(monkeypatch):
    busy(monkeypatch, 2, [60] * 9 + [90], ran_s=20)
    reason = waiting.why(submit(), UTC)
    # the first place is free when the median of those that run longer than 20 s is over
    assert reason.sentence == (
        "Next in line; all 2 threads are busy, about 40 s (40 s to 70 s, from 10 measured)."
    )
    assert (reason.estimate_s, reason.low_s, reason.high_s) == (40, 40, 70)


def test_those_ahead_take_the_places_as_they_become_free(monkeypatch):
    busy(monkeypatch, 2, [60] * 10, ran_s=20)
    for _ in range(3):
        submit()
    # free after 40 and 40 s, taken until 100, 100, and the third until 160: a place is free after 100 s
    assert waiting.why(submit(), UTC).estimate_s == 100


def test_what_has_run_longer_than_usual_is_expected_to_end_as_those_that_did(monkeypatch):
    busy(monkeypatch, 2, [10] * 9 + [100], ran_s=40)
    assert waiting.why(submit(), UTC).estimate_s == 60


def test_it_says_so_when_it_cannot_know(monkeypatch):
    busy(monkeypatch, 2, [10] * 10, ran_s=40)
    reason = waiting.why(submit(), UTC)
    assert reason.sentence == ("Next in line; all 2 threads are busy; how long that takes is not known.")
    assert reason.estimate_s is None


def test_with_a_free_thread_the_next_in_line_is_about_to_start(monkeypatch):
    busy(monkeypatch, 1, [60] * 10, ran_s=20)
    reason = waiting.why(submit(), UTC)
    assert (reason.sentence, reason.estimate_s) == ("Next in line.", 0)


def test_a_full_type_waits_for_its_own_running_tasks(monkeypatch):
    busy(monkeypatch, 1, [60] * 10, ran_s=20)
    monkeypatch.setitem(registry._types, "probe", replace(registry.get("probe"), max_running=1))
    assert waiting.why(submit(), UTC).sentence == (
        "1 tasks of the type probe run already, as many as may; next in line, "
        "about 40 s (40 s to 40 s, from 10 measured)."
    )
