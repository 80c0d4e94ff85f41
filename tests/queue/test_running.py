import sqlite3

import pytest

from engine import clock, lifecycle
from engine.errors import LeaseLost, TaskCancelled, TransientFailure
from engine.queue.running import Running
from engine.words import Outcome
from tests.engine_kit import ANN, add_type, row, submit_and_claim


@pytest.fixture(autouse=True)
def house(data_dir, no_types):
    add_type()


@pytest.fixture
def ticks(monkeypatch):
    """The measuring clock, standing still until moved."""
    now = [1_000.0]
    monkeypatch.setattr(clock, "elapsed", lambda: now[0])
    return now


@pytest.fixture
def running(ticks):
    return Running(submit_and_claim(), timeout_s=60)


def test_handle_says_what_the_task_is(running):
    assert (running.type, running.attempt, running.owner) == ("job", 1, "ann")
    assert running.id == running.task.id
    assert running.correlation_id == running.task.correlation_id


def test_time_left_and_time_used(running, ticks):
    ticks[0] += 45.5
    assert (running.remaining_s, running.duration_ms) == (14.5, 45_500)
    ticks[0] += 60
    assert running.remaining_s == 0


def test_stopped_attempt_raises_at_each_door(running):
    running.check()
    running.stop(Outcome.CANCELLED)
    assert running.cancelled
    for door in (running.check, lambda: running.progress(5)):
        with pytest.raises(TaskCancelled):
            door()


def test_first_reason_to_stop_counts(running):
    running.stop(Outcome.INTERRUPTED)
    running.stop(Outcome.CANCELLED)
    assert running.stop_reason is Outcome.INTERRUPTED


def test_attempt_over_its_time_fails_as_timed_out(running, ticks):
    ticks[0] += 60
    with pytest.raises(TransientFailure) as caught:
        running.check()
    assert caught.value.code == "timed_out"


def test_progress_is_written_at_most_ten_times_a_second(running, ticks, monkeypatch):
    written = []
    monkeypatch.setattr(lifecycle, "progress", lambda _task, *shown: written.append(shown))
    for step in range(50):
        running.progress(step, "x")
        ticks[0] += 0.02  # 50 steps in one second
    assert 8 <= len(written) <= 10


def test_last_progress_told_is_written_even_if_it_came_too_soon(running, ticks):
    running.progress(10, "first")
    running.progress(90, "long last part")
    assert row(running.task).progress == 10
    ticks[0] += 0.2
    running.show_progress()  # the pulse does this
    assert (row(running.task).progress, row(running.task).progress_note) == (90, "long last part")


def test_progress_told_backwards_is_not_shown(running, ticks):
    for percent in (50, 20):
        running.progress(percent, str(percent))
        ticks[0] += 1
    assert (row(running.task).progress, row(running.task).progress_note) == (50, "50")


def test_progress_after_the_lease_is_lost_stops_the_attempt(running):
    lifecycle.rescue(lambda _row: True, trust_leases=True)
    with pytest.raises(TaskCancelled):
        running.progress(5)
    assert running.stop_reason is Outcome.DIED


def test_database_that_cannot_be_written_does_not_fail_the_work(running, ticks, monkeypatch):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(lifecycle, "progress", full)
        running.progress(5, "five")
    ticks[0] += 1
    running.progress(6, "six")
    assert row(running.task).progress == 6


def test_note_that_is_no_unicode_text_is_stored_readably(running):
    running.progress(5, "caf\udce9.pdf")
    assert row(running.task).progress_note == "caf?.pdf"


def test_effect_of_a_lost_task_is_not_begun(running):
    lifecycle.rescue(lambda _row: True, trust_leases=True)
    with pytest.raises(LeaseLost):
        running.mark_sent()


def test_last_200_lines_are_kept_each_with_its_time(running):
    for number in range(150):
        running.log(f"line {number}\nsecond {number}")
    lines = running.log_text.splitlines()
    assert len(lines) == 200
    assert lines[-1].endswith(" second 149")
    assert lines[0].endswith(" line 50")


def test_long_line_is_cut(running):
    running.log("x" * 5_000)
    assert len(running.log_text) < 1_100


def test_usage_of_several_children_is_cpu_together_and_highest_peak(running):
    running.used(cpu_ms=100, peak_memory_bytes=5)
    running.used(cpu_ms=50, peak_memory_bytes=3)
    assert (running.cpu_ms, running.peak_memory_bytes) == (150, 5)


def test_owner_is_the_one_who_submitted(running):
    assert running.owner == ANN.name
