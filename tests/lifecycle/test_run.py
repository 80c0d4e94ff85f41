import pytest

from engine import lifecycle, registry
from engine.errors import LeaseLost
from engine.lifecycle import Ending
from engine.records import db, tasks
from engine.registry import Backoff
from engine.words import SYSTEM, Outcome
from tests.engine_kit import (
    ANN,
    DONE,
    FAIL,
    FATAL,
    NOON_MS,
    OPS,
    add_type,
    attempts,
    claim,
    events,
    in_threads,
    reasons,
    row,
    state,
    submit,
    submit_and_claim,
)


@pytest.fixture(autouse=True)
def house(data_dir, no_types, wall):
    add_type()


def settle(task, ending=DONE):
    return lifecycle.settle(task, ending)


def all_rows():
    return [
        [tuple(r) for r in db.main().read(f"select * from {table}")]
        for table in ("tasks", "attempts", "task_events")
    ]


# Claim


def test_claim_writes_owner_lease_token_and_attempt():
    task = submit_and_claim("w7")
    assert (task.state, task.worker_id, task.attempt, task.token) == ("running", "w7", 1, 1)
    assert task.lease_until_ms == NOON_MS + 45_000  # DESIGN section 4: lease 45 s
    (attempt,) = attempts(task)
    assert (attempt["attempt"], attempt["worker_id"], attempt["outcome"]) == (1, "w7", None)


def test_wait_is_measured_from_the_moment_the_attempt_could_start(wall):
    task = submit(run_at_ms=NOON_MS + 60_000)
    wall.advance(61.5)
    claim()
    assert attempts(task)[0]["wait_ms"] == 1_500


def test_eight_claims_at_once_give_each_task_once():
    submitted = {submit().id for _ in range(5)}
    claimed = [task.id for task in in_threads(*[claim] * 8) if task]
    assert sorted(claimed) == sorted(submitted)


def test_highest_priority_first_then_oldest_across_types():
    add_type("other")
    order = [
        submit(priority=0),
        submit("other", priority=5),
        submit(priority=5),
        submit("other", priority=0),
        submit(priority=-1),
    ]
    expected = [order[i].id for i in (1, 2, 0, 3, 4)]
    assert [claim().id for _ in order] == expected


def test_retried_task_keeps_its_place_before_younger_ones(wall):
    first = submit_and_claim()
    settle(first, FAIL)
    submit()
    wall.advance(10)
    assert claim().id == first.id


def test_type_runs_no_more_than_its_limit_and_others_go_on():
    add_type("narrow", max_running=2)
    for _ in range(3):
        submit("narrow")
    other = submit()
    running = [claim(), claim()]
    assert {task.type for task in running} == {"narrow"}
    assert claim().id == other.id
    assert claim() is None
    settle(running[0])
    assert claim().type == "narrow"


def test_limit_holds_when_eight_threads_claim_at_once():
    add_type("narrow", max_running=2)
    for _ in range(8):
        submit("narrow")
    assert len([t for t in in_threads(*[claim] * 8) if t]) == 2


def test_paused_queue_starts_nothing_but_system_work():
    add_type("cleanup", system=True)
    submit()
    submit("cleanup", actor=SYSTEM)
    lifecycle.pause(OPS)
    assert claim().type == "cleanup"
    assert claim() is None
    lifecycle.resume(OPS)
    assert claim().type == "job"


def test_paused_type_lets_the_others_run():
    add_type("other")
    submit()
    submit("other")
    lifecycle.pause(OPS, "job")
    assert claim().type == "other"
    assert claim() is None
    lifecycle.resume(OPS, "job")
    assert claim().type == "job"


def test_pause_of_one_type_survives_the_resume_of_all():
    submit()
    lifecycle.pause(OPS)
    lifecycle.pause(OPS, "job")
    lifecycle.resume(OPS)
    assert claim() is None


def test_running_work_goes_on_while_paused():
    task = submit_and_claim()
    lifecycle.pause(OPS)
    lifecycle.progress(task, 50, "half")
    assert settle(task) == "succeeded"


def test_overdue_task_is_never_started(wall):
    """Before the first beat of a worker that was down for long, its threads already claim."""
    add_type("brief", expires_s=30)
    late = [submit("brief") for _ in range(3)]
    wall.advance(31)
    fresh = submit("brief")
    assert claim().id == fresh.id
    assert {state(task) for task in late} == {"expired"}
    assert row(late[0]).error_code == "expired"
    assert events(late[0])[-1] == ("queued", "expired")
    assert attempts(late[0]) == []


def test_an_idle_look_says_whether_something_may_be_claimed(wall):
    types = registry.all_types()
    assert not lifecycle.wait_is_over(types)
    submit(run_at_ms=NOON_MS + 1_000)
    assert not lifecycle.wait_is_over(types)
    wall.advance(1)
    assert lifecycle.wait_is_over(types)
    claim()
    assert not lifecycle.wait_is_over(types)
    submit()
    assert lifecycle.wait_is_over(types)
    lifecycle.pause(OPS)
    assert not lifecycle.wait_is_over(types)


def test_more_due_tasks_than_are_promoted_at_once_all_run(wall):
    for _ in range(3):
        lifecycle.submit_many(ANN, "job", [{}])
    with db.main().write() as tx:
        tx.run("update tasks set state = 'scheduled', due_at_ms = :due", due=NOON_MS + 1)
    wall.advance(1)
    assert [claim() is not None for _ in range(4)] == [True, True, True, False]


# Settle


def test_success_records_result_and_full_progress():
    task = submit_and_claim()
    lifecycle.progress(task, 40, "half way")
    ending = Ending(Outcome.SUCCEEDED, result='{"a": 1}', duration_ms=12, log="one\ntwo", cpu_ms=7)
    assert settle(task, ending) == "succeeded"
    document = row(task).document()
    assert (document["progress"], document["progress_note"], document["result"]) == (100, "", {"a": 1})
    assert document["finished_at"] == "2025-12-01T12:00:00.000Z"
    (attempt,) = attempts(task)
    assert (attempt["outcome"], attempt["duration_ms"], attempt["log"]) == ("succeeded", 12, "one\ntwo")
    assert attempt["cpu_ms"] == 7
    assert row(task).worker_id is None


def test_outcome_is_recorded_once():
    task = submit_and_claim()
    settle(task)
    before = all_rows()
    for ending in (DONE, FAIL, Ending(Outcome.INTERRUPTED)):
        with pytest.raises(LeaseLost):
            settle(task, ending)
    assert all_rows() == before


def test_worker_that_lost_its_lease_writes_nothing():
    first = submit_and_claim("w1")
    lifecycle.rescue(lambda _row: True, trust_leases=True)
    second = claim("w2")
    assert (second.id, second.token, second.attempt) == (first.id, 2, 2)
    before = all_rows()
    with pytest.raises(LeaseLost):
        settle(first, DONE)
    with pytest.raises(LeaseLost):
        lifecycle.progress(first, 90, "late")
    with pytest.raises(LeaseLost):
        lifecycle.mark_sent(first)
    lifecycle.keep_log(first, "late words")
    assert all_rows() == before
    assert settle(second) == "succeeded"


def test_rescued_but_not_yet_reclaimed_task_refuses_the_old_worker():
    first = submit_and_claim("w1")
    lifecycle.rescue(lambda _row: True, trust_leases=True)
    with pytest.raises(LeaseLost):
        settle(first)
    assert state(first) == "queued"


def test_two_settles_at_once_have_one_winner():
    task = submit_and_claim()
    results = in_threads(*[lambda: settle(task), lambda: settle(task, FATAL)])
    losers = [r for r in results if isinstance(r, LeaseLost)]
    assert len(losers) == 1
    assert attempts(task)[0]["outcome"] == state(task)


def test_failures_are_retried_after_the_schedule_then_the_task_fails(wall):
    task = submit_and_claim()
    assert settle(task, FAIL) == "retrying"
    assert row(task).due_at_ms == NOON_MS + 10_000
    wall.advance(10)
    assert settle(claim(), FAIL) == "retrying"
    assert row(task).due_at_ms == NOON_MS + 10_000 + 60_000
    wall.advance(60)
    last = claim()
    assert last.attempt == 3
    assert settle(last, FAIL) == "failed"
    assert row(task).document()["error"] == {"code": "broke", "message": "It broke."}
    assert [a["outcome"] for a in attempts(task)] == ["failed"] * 3
    assert events(task) == [
        (None, "queued"),
        ("running", "retrying"),
        ("retrying", "queued"),
        ("running", "retrying"),
        ("retrying", "queued"),
        ("running", "failed"),
    ]


def test_the_last_delay_is_repeated(wall):
    add_type("stubborn", max_attempts=5, delays_s=(1, 2))
    submit("stubborn")
    waits = []
    for _ in range(4):
        task = claim()
        settle(task, FAIL)
        waits.append((row(task).due_at_ms - int(wall() * 1000)) / 1000)
        wall.advance(60)
    assert waits == [1, 2, 2, 2]


def test_backoff_doubles_up_to_its_cap_with_equal_jitter():
    backoff = Backoff(base_s=10, factor=2, cap_s=35)
    for failures, ceiling in ((1, 10), (2, 20), (3, 35), (9, 35)):
        delays = [backoff.delay_s(failures) for _ in range(200)]
        assert ceiling / 2 <= min(delays) < max(delays) <= ceiling


def test_permanent_failure_is_not_retried():
    task = submit_and_claim()
    assert settle(task, FATAL) == "failed"
    assert row(task).failures == 1


def test_other_sides_wait_lengthens_the_schedule_but_never_shortens_it(wall):
    task = submit_and_claim()
    settle(task, Ending(Outcome.FAILED, error=("busy", "Later."), delay_s=120))
    assert row(task).due_at_ms == NOON_MS + 120_000
    wall.advance(120)
    settle(claim(), Ending(Outcome.FAILED, error=("busy", "Later."), delay_s=1))
    assert row(task).due_at_ms == NOON_MS + 120_000 + 60_000


def test_interrupted_attempts_are_not_counted():
    submit()
    for number in range(1, 6):
        task = claim()
        assert task.attempt == number
        assert settle(task, Ending(Outcome.INTERRUPTED)) == "queued"
    assert (row(task).failures, row(task).deaths) == (0, 0)
    assert settle(claim()) == "succeeded"
    assert reasons(task)[1] == "worker shut down"


def test_interrupted_task_goes_first_again():
    task = submit_and_claim()
    submit()
    settle(task, Ending(Outcome.INTERRUPTED))
    assert claim().id == task.id


def test_deferred_task_comes_back_after_its_delay_and_is_not_counted(wall):
    submit()
    for _ in range(4):
        task = claim()
        deferred = Ending(Outcome.DEFERRED, error=("deferred", "Retry-After: 30"), delay_s=30)
        assert settle(task, deferred) == "retrying"
        assert claim() is None
        wall.advance(30)
    assert row(task).failures == 0
    assert settle(claim()) == "succeeded"


def test_retry_in_vain_keeps_the_last_error_until_the_next_attempt_begins(wall):
    task = submit_and_claim()
    settle(task, FAIL)
    assert row(task).error_code == "broke"
    wall.advance(10)
    claim()
    assert row(task).error_code is None


def test_settle_and_next_claim_are_one_step():
    first, second = submit(), submit()
    task = claim()
    settled, following = lifecycle.settle_and_claim(task, DONE, "w1", registry.all_types())
    assert (task.id, settled) == (first.id, "succeeded")
    assert (following.id, following.worker_id) == (second.id, "w1")
    assert lifecycle.settle_and_claim(following, DONE, "w1", registry.all_types())[1] is None


def test_lost_lease_claims_nothing_either():
    task = submit_and_claim()
    settle(task)
    waiting = submit()
    with pytest.raises(LeaseLost):
        lifecycle.settle_and_claim(task, DONE, "w1", registry.all_types())
    assert state(waiting) == "queued"


def test_settle_frees_the_place_of_its_own_type_for_the_claim_in_the_same_step():
    add_type("narrow", max_running=1)
    submit("narrow")
    second = submit("narrow")
    task = claim()
    assert lifecycle.settle_and_claim(task, DONE, "w1", registry.all_types())[1].id == second.id


def test_error_message_is_cut_to_2000_characters():
    task = submit_and_claim()
    settle(task, Ending(Outcome.FAILED, error=("long", "x" * 5_000), permanent=True))
    assert len(row(task).error_message) == 2_000
    assert len(attempts(task)[0]["error_message"]) == 2_000


# Progress and log


def test_progress_never_goes_back():
    task = submit_and_claim()
    seen = []
    for percent, note in ((30, "a"), (20, "b"), (30, "c"), (60, "d")):
        lifecycle.progress(task, percent, note)
        seen.append((row(task).progress, row(task).progress_note))
    assert seen == [(30, "a"), (30, "a"), (30, "c"), (60, "d")]


def test_progress_survives_a_failed_attempt_and_never_goes_back(wall):
    task = submit_and_claim()
    lifecycle.progress(task, 60, "nearly")
    settle(task, FAIL)
    wall.advance(10)
    lifecycle.progress(claim(), 10, "again")
    assert row(task).progress == 60


@pytest.mark.parametrize(("told", "kept"), [(-5, 0), (100, 99), (1_000, 99)])
def test_progress_stays_within_0_and_99_while_running(told, kept):
    task = submit_and_claim()
    lifecycle.progress(task, told, "")
    assert row(task).progress == kept


def test_log_of_a_running_attempt_is_kept_and_a_silent_end_does_not_erase_it():
    task = submit_and_claim()
    lifecycle.keep_log(task, "one")
    assert attempts(task)[0]["log"] == "one"
    settle(task, Ending(Outcome.DIED))
    assert attempts(task)[0]["log"] == "one"


def test_tokens_of_a_worker_show_cancel_requests():
    one, two = submit_and_claim(), submit_and_claim()
    lifecycle.cancel(ANN, two.id)
    assert tasks.running_tokens(db.main(), "w1") == {one.id: (1, False), two.id: (1, True)}
