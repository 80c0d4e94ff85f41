import pytest

from engine import lifecycle
from engine.lifecycle import Ending
from engine.records import db, tasks, workers
from engine.words import Outcome
from tests.engine_kit import (
    ANN,
    DONE,
    FAIL,
    NOON_MS,
    add_type,
    attempts,
    claim,
    events,
    in_threads,
    reasons,
    register_worker,
    row,
    state,
    submit,
    submit_and_claim,
)


@pytest.fixture(autouse=True)
def house(data_dir, no_types, wall):
    add_type()


def rescue(dead=(), trust_leases=True):
    return lifecycle.rescue(lambda worker: worker["id"] in dead, trust_leases=trust_leases)


def test_task_of_a_live_worker_is_left_alone():
    register_worker("w1")
    task = submit_and_claim("w1")
    assert rescue() == 0
    assert state(task) == "running"


def test_task_of_a_dead_worker_is_queued_again_at_once():
    register_worker("w1")
    task = submit_and_claim("w1")
    assert rescue(dead={"w1"}, trust_leases=False) == 1
    assert (row(task).state, row(task).deaths, row(task).failures) == ("queued", 1, 0)
    (attempt,) = attempts(task)
    assert (attempt["outcome"], attempt["error_code"]) == ("died", "worker_died")
    assert events(task)[-1] == ("running", "queued")
    assert reasons(task)[-1] == "worker died (1 of 5)"


def test_dead_worker_is_written_off_once():
    register_worker("w1")
    rescue(dead={"w1"})
    stopped = db.main().one("select * from workers where id = 'w1'")
    assert (stopped["stopped_at_ms"], stopped["stop_reason"]) == (NOON_MS, "process gone")
    assert workers.live(db.main()) == []


def test_silent_worker_loses_its_task_when_the_lease_ran_out(wall):
    register_worker("w1")
    task = submit_and_claim("w1")
    wall.advance(45)
    assert rescue() == 0
    wall.advance(0.001)
    assert rescue() == 1
    assert state(task) == "queued"


def test_lease_is_not_judged_while_clocks_cannot_be_trusted(wall):
    register_worker("w1")
    submit_and_claim("w1")
    wall.advance(3_600)
    assert rescue(trust_leases=False) == 0


def test_worker_of_a_former_boot_is_written_off_after_15_minutes_of_silence(wall):
    register_worker("before the reboot")
    wall.advance(15 * 60)
    rescue()
    assert len(workers.live(db.main())) == 1
    wall.advance(1)
    rescue(trust_leases=False)
    assert len(workers.live(db.main())) == 1
    rescue()
    assert workers.live(db.main()) == []
    with db.main().write() as tx:
        usage = {"memory_bytes": 1, "children_memory_bytes": 0, "cpu_percent": 0.0}
        workers.beat(tx, "before the reboot", NOON_MS, usage)
    assert len(workers.live(db.main())) == 1


def test_task_of_a_worker_nobody_knows_is_taken():
    task = submit_and_claim("never registered")
    assert rescue(trust_leases=False) == 1
    assert state(task) == "queued"


def test_worker_that_starts_while_the_rescuer_looks_keeps_its_task(monkeypatch):
    """Between the reads of the workers and of the running tasks another process registers and claims."""
    submit()
    read = workers.live

    def look_while_another_starts(reader):
        rows = read(reader)
        assert in_threads(lambda: (register_worker("new"), claim("new")))[0][1] is not None
        return rows

    monkeypatch.setattr(workers, "live", look_while_another_starts)
    assert rescue() == 0


def test_task_settled_after_the_look_is_not_taken(monkeypatch):
    register_worker("w1")
    task = submit_and_claim("w1")

    def dies_after_settling(_row):
        lifecycle.settle(task, DONE)
        return True

    assert lifecycle.rescue(dies_after_settling, trust_leases=True) == 0
    assert state(task) == "succeeded"


def test_deaths_do_not_use_up_attempts_but_five_end_the_task():
    task = submit()
    for death in range(1, 6):
        assert claim("w").attempt == death
        rescue()
    assert (row(task).state, row(task).error_code, row(task).deaths) == ("failed", "poison", 5)
    assert [a["outcome"] for a in attempts(task)] == ["died"] * 5
    assert "5 workers died" in row(task).error_message


def test_failures_and_deaths_are_counted_apart(wall):
    task = submit_and_claim()
    lifecycle.settle(task, FAIL)
    for _ in range(4):
        wall.advance(60)
        claim()
        rescue()
    lifecycle.settle(claim(), FAIL)
    wall.advance(60)
    assert lifecycle.settle(claim(), DONE) == "succeeded"
    assert (row(task).failures, row(task).deaths) == (2, 4)


def test_poisoned_task_may_be_tried_again_by_hand():
    task = submit()
    for _ in range(5):
        claim()
        rescue()
    lifecycle.retry(ANN, task.id)
    assert row(task).deaths == 0
    assert lifecycle.settle(claim(), DONE) == "succeeded"


def test_number_of_deaths_is_a_setting(monkeypatch):
    monkeypatch.setenv("OFFLOAD_POISON_DEATHS", "1")
    db.reset()
    task = submit_and_claim()
    rescue()
    assert row(task).error_code == "poison"


def test_task_asked_to_stop_is_cancelled_when_its_worker_dies():
    task = submit_and_claim()
    lifecycle.cancel(ANN, task.id)
    rescue()
    assert state(task) == "cancelled"
    assert reasons(task)[-1] == "its worker died after ann asked to stop"


def refuse_after_send(task):
    return ("outcome_unknown", "It may have been done.") if task.sent_at_ms else None


def test_outside_effect_is_not_repeated_blindly_after_a_death():
    add_type("call", on_rescue=refuse_after_send)
    unsent, sent = submit_and_claim(type_name="call"), submit_and_claim(type_name="call")
    lifecycle.mark_sent(sent)
    rescue()
    assert (state(unsent), state(sent)) == ("queued", "failed")
    assert row(sent).error_code == "outcome_unknown"


def test_outside_effect_is_not_repeated_blindly_after_a_shutdown():
    add_type("call", on_rescue=refuse_after_send)
    unsent, sent = submit_and_claim(type_name="call"), submit_and_claim(type_name="call")
    lifecycle.mark_sent(sent)
    assert lifecycle.settle(unsent, Ending(Outcome.INTERRUPTED)) == "queued"
    assert lifecycle.settle(sent, Ending(Outcome.INTERRUPTED)) == "failed"
    assert row(sent).error_code == "outcome_unknown"


def test_broken_task_does_not_keep_the_others_from_being_rescued():
    def broken(task):
        raise KeyError("a rule with a mistake")

    add_type("call", on_rescue=broken)
    bad, good = submit_and_claim(type_name="call"), submit_and_claim()
    assert rescue() == 1
    assert (state(bad), state(good)) == ("running", "queued")
    assert attempts(bad)[0]["outcome"] is None


def test_second_attempt_begins_unsent():
    add_type("call", on_rescue=lambda task: None)
    task = submit_and_claim(type_name="call")
    lifecycle.mark_sent(task)
    rescue()
    assert claim().sent_at_ms is None


def test_overdue_tasks_expire_and_others_stay(wall):
    add_type("brief", expires_s=30)
    late, later, endless = submit("brief"), submit("brief", run_at_ms=NOON_MS + 9_000), submit()
    wall.advance(29.999)
    assert lifecycle.expire_waiting() == 0
    wall.advance(0.001)
    assert lifecycle.expire_waiting() == 1
    assert [state(t) for t in (late, later, endless)] == ["expired", "scheduled", "queued"]
    assert row(late).document()["error"] == {"code": "expired", "message": "The task did not start in time."}


def test_running_task_does_not_expire(wall):
    add_type("brief", expires_s=30)
    task = submit_and_claim(type_name="brief")
    wall.advance(31)
    assert lifecycle.expire_waiting() == 0
    assert lifecycle.settle(task, DONE) == "succeeded"


# The clock moves


def test_clock_set_back_delays_neither_waiting_work_nor_leases(wall):
    submit()
    wall.advance(-3_600)
    assert claim() is not None


def test_clock_set_back_does_not_lengthen_a_retrys_wait(wall):
    task = submit_and_claim()
    lifecycle.settle(task, FAIL)  # due in 10 s
    wall.advance(-3_600)
    with db.main().write() as tx:
        tasks.pull_in_after_clock_change(tx, int(wall() * 1000), int(wall() * 1000) + 45_000)
    assert row(task).due_at_ms == int(wall() * 1000) + 10_000
    wall.advance(10)
    assert claim().id == task.id


def test_clock_set_back_keeps_the_time_a_person_chose(wall):
    task = submit(run_at_ms=NOON_MS + 60_000)
    wall.advance(-3_600)
    with db.main().write() as tx:
        tasks.pull_in_after_clock_change(tx, int(wall() * 1000), int(wall() * 1000) + 45_000)
    assert row(task).due_at_ms == NOON_MS + 60_000


def test_clock_set_back_shortens_leases_to_their_length(wall):
    register_worker("w1")
    task = submit_and_claim("w1")
    wall.advance(-3_600)
    now_ms = int(wall() * 1000)
    with db.main().write() as tx:
        tasks.pull_in_after_clock_change(tx, now_ms, now_ms + 45_000)
    assert row(task).lease_until_ms == now_ms + 45_000
    wall.advance(45.001)
    assert rescue() == 1
