import json
import sqlite3

import pytest

from engine import clock, lifecycle, registry
from engine.lib import processes
from engine.queue import OffloadHuey
from engine.queue.pulse import Pulse
from engine.records import db
from engine.words import Outcome
from tests.engine_kit import ANN, FAIL, add_type, attempts, claim, register_worker, row, state, submit


class Ticks:
    """The measuring clock; `both` moves it and the wall clock together, as time does."""

    def __init__(self, wall):
        self.now, self.wall = 5_000.0, wall

    def both(self, seconds):
        self.now += seconds
        self.wall.advance(seconds)


@pytest.fixture
def ticks(wall, monkeypatch):
    made = Ticks(wall)
    monkeypatch.setattr(clock, "elapsed", lambda: made.now)
    return made


@pytest.fixture
def huey(data_dir, no_types, ticks):
    add_type()
    made = OffloadHuey()
    made.worker_id = "w1"
    made.adopt(registry.all_types())
    return made


@pytest.fixture
def pulse(huey, monkeypatch):
    """A registered pulse whose thread is not started: the test calls what the thread would."""
    made = Pulse(huey, 4, {})
    monkeypatch.setattr(made._thread, "start", lambda: None)
    made.start()
    return made


def take(huey):
    submit()
    return huey.dequeue().running


def worker_row(worker_id="w1"):
    return db.main().one("select * from workers where id = :id", id=worker_id)


def test_start_registers_this_process(pulse, ticks):
    found = worker_row()
    assert (found["pid"], found["start_ticks"]) == (processes.pid(), processes.start_ticks())
    assert (found["threads"], found["types"], found["stopped_at_ms"]) == (4, "job", None)


def test_stop_writes_off_the_worker(pulse):
    pulse.stop()
    assert worker_row()["stop_reason"] == "shut down"


def test_heartbeat_renews_the_leases_of_what_is_in_flight_only(pulse, huey, ticks):
    kept, forgotten = take(huey), take(huey)
    huey._forget(forgotten)
    for _ in range(8):
        ticks.both(5)
        pulse._heartbeat()
    assert row(kept.task).lease_until_ms == kept.task.lease_until_ms + 40_000
    assert row(forgotten.task).lease_until_ms == forgotten.task.lease_until_ms
    assert worker_row()["heartbeat_at_ms"] == worker_row()["started_at_ms"] + 40_000
    ticks.both(6)
    pulse.beat()
    assert (state(kept.task), state(forgotten.task)) == ("running", "queued")


def test_heartbeat_keeps_new_log_lines(pulse, huey):
    running = take(huey)
    running.log("half way")
    pulse._heartbeat()
    assert attempts(running.task)[0]["log"].endswith("half way")


def test_heartbeat_says_what_the_process_uses(pulse):
    pulse._heartbeat()
    assert worker_row()["memory_bytes"] > 10_000_000


def test_cancel_reaches_the_attempt(pulse, huey):
    one, other = take(huey), take(huey)
    lifecycle.cancel(ANN, one.id)
    pulse._pass_on_cancels()
    assert (one.stop_reason, other.stop_reason) == (Outcome.CANCELLED, None)


def test_attempt_that_lost_its_lease_is_stopped(pulse, huey):
    running = take(huey)
    lifecycle.rescue(lambda _row: True, trust_leases=True)
    claim("w2")
    pulse._pass_on_cancels()
    assert running.stop_reason is Outcome.DIED


def test_pulse_shows_progress_that_came_too_soon(pulse, huey, ticks):
    running = take(huey)
    running.progress(10)
    running.progress(80, "drawing")
    ticks.both(0.15)
    pulse._pass_on_cancels()
    assert row(running.task).progress == 80


def test_silent_worker_of_another_machine_is_judged_by_its_lease(pulse, ticks):
    register_worker("far", host_key="other machine")
    submit()
    task = claim("far")
    for _ in range(9):
        ticks.both(5)
        pulse._heartbeat()
        pulse.beat()
        assert state(task) == "running"
    ticks.both(1)
    pulse.beat()
    assert state(task) == "queued"


def test_dead_process_of_this_machine_is_noticed_at_once(pulse):
    register_worker("dead", host_key=processes.host_key(), pid=2**22 - 1, start_ticks=1)
    submit()
    task = claim("dead")
    pulse.beat()
    assert state(task) == "queued"
    assert worker_row("dead")["stop_reason"] == "process gone"


def test_process_that_began_anew_in_place_is_not_the_old_worker(pulse):
    """SIGHUP replaces the program and keeps the process: same pid, same start."""
    register_worker(
        "before", host_key=processes.host_key(), pid=processes.pid(), start_ticks=processes.start_ticks()
    )
    submit()
    task = claim("before")
    pulse.beat()
    assert state(task) == "queued"
    assert worker_row("before")["stopped_at_ms"] is not None
    assert worker_row("w1")["stopped_at_ms"] is None


def test_worker_that_could_not_write_lately_judges_nobody(pulse, ticks):
    """Nobody else could either: their leases are old because the database was locked."""
    register_worker("far", host_key="other machine")
    submit()
    task = claim("far")
    ticks.both(46)
    pulse.beat()
    assert state(task) == "running"
    pulse._heartbeat()  # the database is free again: the other worker has a lease's time to renew
    pulse.beat()
    assert state(task) == "running"
    for _ in range(10):
        ticks.both(5)
        pulse._heartbeat()
    pulse.beat()
    assert state(task) == "queued"


def test_clock_set_forward_takes_no_task_from_a_live_worker(pulse, huey, ticks):
    register_worker("far", host_key="other machine")
    own = take(huey)
    submit()
    task = claim("far")
    ticks.wall.advance(3_600)
    pulse.beat()
    assert (state(task), state(own.task)) == ("running", "running")
    pulse._heartbeat()
    ticks.both(40)
    pulse._heartbeat()
    pulse.beat()
    assert (state(task), state(own.task)) == ("running", "running")


def test_clock_set_back_lengthens_no_wait(pulse, huey, ticks):
    own = take(huey)
    submit()
    failed = claim()
    lifecycle.settle(failed, FAIL)
    ticks.wall.advance(-3_600)
    pulse.beat()
    now_ms = clock.now_ms()
    assert row(failed).due_at_ms == now_ms + 10_000
    assert row(own.task).lease_until_ms == now_ms + 45_000


def test_worker_started_after_the_clock_was_set_back_pulls_waits_in(huey, ticks, monkeypatch):
    submit()
    failed = claim()
    lifecycle.settle(failed, FAIL)
    ticks.wall.advance(-3_600)
    made = Pulse(huey, 4, {})
    monkeypatch.setattr(made._thread, "start", lambda: None)
    made.start()
    assert row(failed).due_at_ms == clock.now_ms() + 10_000


def test_every_duty_is_done_whatever_another_raises(huey, monkeypatch, ticks):
    done = []

    def broken():
        raise sqlite3.OperationalError("database is locked")

    made = Pulse(huey, 4, {"broken": broken, "good": lambda: done.append(1)})
    monkeypatch.setattr(made._thread, "start", lambda: None)
    made.start()
    made.beat()
    huey.read_schedule()  # what Huey's scheduler thread calls each second
    assert done == [1, 1]


def test_watch_survives_errors_and_ends_when_told(huey, monkeypatch, wall):
    beats = []
    made = Pulse(huey, 4, {})

    def heartbeat():
        beats.append(1)
        if len(beats) == 1:
            raise sqlite3.OperationalError("database is locked")
        if len(beats) == 2:
            raise ValueError("surprise")
        made._stop.set()

    monkeypatch.setattr(made, "_heartbeat", heartbeat)
    monkeypatch.setattr("engine.queue.pulse._WATCH_S", 0.001)
    monkeypatch.setattr("engine.queue.pulse._AGAIN_S", 0)
    monkeypatch.setenv("OFFLOAD_HEARTBEAT_S", "0.001")
    db.reset()
    monkeypatch.setattr(clock, "elapsed", iter(range(10_000)).__next__)
    made._watch()
    assert len(beats) == 3


def test_documents_of_running_tasks_stay_json(pulse, huey):
    running = take(huey)
    running.progress(5, "x")
    json.dumps(row(running.task).document())
