"""The Huey adapter: claims, runs and settles through `lifecycle`, whatever the function does."""

import sqlite3

import pytest

from engine import lifecycle, registry
from engine.errors import PermanentFailure, TransientFailure
from engine.lifecycle import Ending
from engine.queue import OffloadHuey
from engine.records import db
from engine.words import SYSTEM, Outcome
from tests.engine_kit import ANN, OPS, add_type, attempts, events, in_threads, row, state, submit


@pytest.fixture(autouse=True)
def house(data_dir, no_types):
    pass


def make_huey(worker_id="w1"):
    huey = OffloadHuey()
    huey.worker_id = worker_id
    huey.adopt(registry.all_types())
    return huey


def work(huey, most=20):
    """What a worker thread does, until nothing is to be claimed; return how many tasks it ran."""
    for done in range(most):
        task = huey.dequeue()
        if task is None:
            return done
        try:
            huey.execute(task)
        except Exception as error:  # Huey's loop logs and goes on
            assert isinstance(error, RuntimeError)
    return most


def run_one(run, **options):
    """Run one task with a function; return it as it stands afterwards."""
    add_type(run=run, **options)
    task = submit()
    huey = make_huey()
    assert work(huey, most=1) == 1
    assert not huey.in_flight or list(huey.in_flight) != [task.id]
    return row(task)


def test_result_of_the_function_is_recorded():
    task = run_one(lambda payload, task: {"size": payload.size, "attempt": task.attempt})
    assert (task.state, task.result) == ("succeeded", '{"size": 1, "attempt": 1}')


@pytest.mark.parametrize(
    ("error", "ends", "code"),
    [
        (PermanentFailure("Never."), "failed", "permanent_failure"),
        (TransientFailure("Later."), "retrying", "transient_failure"),
        (KeyError("x"), "retrying", "unexpected_error"),
        (SystemExit(1), "retrying", "unexpected_error"),
        (KeyboardInterrupt(), "retrying", "unexpected_error"),
        (GeneratorExit(), "retrying", "unexpected_error"),
    ],
)
def test_whatever_the_function_raises_is_settled(error, ends, code):
    def broken(payload, task):
        raise error

    task = run_one(broken)
    assert (task.state, task.error_code) == (ends, code)


def test_huey_itself_retries_nothing():
    calls = []

    def broken(payload, task):
        calls.append(task.attempt)
        raise TransientFailure

    task = run_one(broken)
    assert calls == [1]
    assert task.state == "retrying"


def test_error_text_that_no_database_can_store_does_not_leave_the_task_running():
    def broken(payload, task):
        task.log("reading caf\udce9")
        raise ValueError("cannot open caf\udce9.pdf")

    task = run_one(broken)
    assert (task.state, task.error_message) == ("retrying", "ValueError: cannot open caf?.pdf")
    assert attempts(task)[0]["log"].endswith("reading caf?")


def test_outcome_that_cannot_be_written_ends_as_a_failure(monkeypatch):
    settle = lifecycle.settle_and_claim

    def refuse_first(task, ending, *rest):
        if ending.outcome is Outcome.SUCCEEDED:
            raise TypeError("no such parameter type")
        return settle(task, ending, *rest)

    monkeypatch.setattr(lifecycle, "settle_and_claim", refuse_first)
    task = run_one(lambda payload, task: None)
    assert (task.state, task.error_code) == ("retrying", "worker_broke")


def test_task_whose_outcome_can_never_be_written_is_let_go(monkeypatch):
    def refuse(*_):
        raise TypeError("no such parameter type")

    monkeypatch.setattr(lifecycle, "settle_and_claim", refuse)
    add_type()
    submit()
    huey = make_huey()
    work(huey, most=1)
    assert huey.in_flight == {}  # so its lease is not renewed


def test_outcome_waits_for_a_locked_or_full_database(monkeypatch):
    monkeypatch.setattr("engine.queue._SETTLE_AGAIN_S", 0.001)
    settle, refusals = lifecycle.settle_and_claim, [sqlite3.OperationalError("disk is full")] * 3

    def late(*arguments):
        if refusals:
            raise refusals.pop()
        return settle(*arguments)

    monkeypatch.setattr(lifecycle, "settle_and_claim", late)
    assert run_one(lambda payload, task: None).state == "succeeded"
    assert refusals == []


def test_payload_that_its_type_no_longer_accepts_fails_for_good_and_is_kept():
    calls = []
    add_type(run=lambda payload, task: calls.append(payload))
    task = submit()
    with db.main().write() as tx:
        tx.run("update tasks set payload = :p", p='{"size":1,"colour":"red"}')
    work(make_huey())
    task = row(task)
    assert (task.state, task.error_code, task.failures) == ("failed", "invalid_input", 1)
    assert task.error_message == ("The payload of job is not valid. colour: Extra inputs are not permitted")
    assert task.payload == '{"size":1,"colour":"red"}'
    assert calls == []


def test_type_without_code_in_this_worker_waits_for_one_that_has_it():
    add_type("new")
    task = submit("new")
    old = make_huey("old")
    old.adopt([])
    assert old.dequeue() is None
    assert state(task) == "queued"
    assert work(make_huey("new")) == 1
    assert state(task) == "succeeded"


def test_next_task_is_claimed_while_the_last_is_settled():
    add_type()
    submit()
    second = submit()
    huey = make_huey()
    work(huey, most=1)
    assert state(second) == "running"
    assert list(huey.in_flight) == [second.id]
    assert work(huey) == 1
    assert huey.in_flight == {}


def test_task_claimed_by_a_thread_that_ends_is_run_by_another():
    """Huey ends a worker thread after `--max-tasks`, right after it has settled and claimed."""
    add_type()
    submit()
    second = submit()
    huey = make_huey()
    in_threads(lambda: work(huey, most=1))
    assert in_threads(lambda: work(huey)) == [1]
    assert state(second) == "succeeded"


def test_nothing_is_claimed_once_the_consumer_stops():
    add_type()
    submit()
    second = submit()
    huey = make_huey()
    task = huey.dequeue()
    huey.stopping.set()
    huey.execute(task)
    assert state(second) == "queued"


def test_running_tasks_are_given_back_at_the_end_and_not_counted(caplog):
    seen = {}

    def long(payload, task):
        seen["told"] = task.cancelled
        huey.notify_interrupted_tasks()  # the main thread, in real life
        seen["asked"] = task.cancelled

    add_type(run=long)
    task = submit()
    huey = make_huey()
    work(huey)
    assert seen == {"told": False, "asked": True}
    assert (state(task), row(task).failures) == ("queued", 0)
    assert [a["outcome"] for a in attempts(task)] == ["interrupted"]
    assert "lease lost" not in caplog.text


def test_held_task_is_given_back_at_the_end():
    add_type()
    submit()
    second = submit()
    huey = make_huey()
    work(huey, most=1)
    huey.notify_interrupted_tasks()
    assert (state(second), row(second).failures) == ("queued", 0)


def test_cancelled_attempt_ends_as_cancelled():
    def obedient(payload, task):
        lifecycle.cancel(ANN, task.id)
        huey.in_flight[task.id].stop(Outcome.CANCELLED)  # the pulse, in real life
        task.check()

    add_type(run=obedient)
    task = submit()
    huey = make_huey()
    work(huey)
    assert state(task) == "cancelled"
    assert attempts(task)[0]["outcome"] == "cancelled"


def test_observers_see_each_settled_attempt_and_cannot_hurt():
    seen = []

    def curious(task, ending, after):
        seen.append((task.id, ending.outcome, after))

    def clumsy(task, ending, after):
        raise RuntimeError("broken screen")

    add_type()
    task = submit()
    huey = make_huey()
    huey.observers += [clumsy, curious]
    work(huey)
    assert seen == [(task.id, "succeeded", "succeeded")]


def test_observer_is_not_told_of_an_outcome_that_was_not_recorded():
    seen = []

    def loses_its_lease(payload, task):
        lifecycle.rescue(lambda _row: True, trust_leases=True)

    add_type(run=loses_its_lease, max_running=1)
    task = submit()
    huey = make_huey()
    huey.observers.append(lambda *told: seen.append(told))
    work(huey, most=1)
    assert seen == []
    assert state(task) == "queued"
    assert events(task)[-1] == ("running", "queued")


def test_pause_takes_effect_for_the_very_next_task():
    add_type()
    submit()
    second = submit()
    huey = make_huey()
    task = huey.dequeue()
    lifecycle.pause(OPS)
    huey.execute(task)
    assert huey.dequeue() is None
    assert state(second) == "queued"


def test_four_threads_run_every_task_once():
    runs = []
    add_type(run=lambda payload, task: runs.append(task.id))
    ids = lifecycle.submit_many(ANN, "job", [{}] * 200)
    huey = make_huey()
    counts = in_threads(*[lambda: work(huey, most=500)] * 4)
    assert sum(counts) == 200
    assert sorted(runs) == sorted(ids)


def test_submitting_through_huey_is_refused():
    add_type(system=True)
    submit(actor=SYSTEM)
    huey = make_huey()
    with pytest.raises(NotImplementedError):
        huey.enqueue(huey.dequeue())


def test_ending_of_an_attempt_that_never_began_is_a_failure():
    """`execute` settles even when Huey itself raises before the function is called."""
    add_type()
    task = submit()
    huey = make_huey()
    claimed = huey.dequeue()
    huey.ready_to_run = None  # calling it raises inside Huey
    with pytest.raises(TypeError):
        huey.execute(claimed)
    assert (state(task), row(task).error_code) == ("retrying", "worker_broke")
    assert isinstance(claimed.ending, Ending)
