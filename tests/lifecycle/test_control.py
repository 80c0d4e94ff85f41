import pytest

from engine import lifecycle, registry
from engine.errors import Conflict, Forbidden, InvalidInput, LeaseLost, NotFound
from engine.lifecycle import Ending, control
from engine.records import db
from engine.words import SYSTEM, Outcome, Role
from tests.engine_kit import (
    ANN,
    BOB,
    DONE,
    EVE,
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


def failed_task(**options):
    task = submit_and_claim(**options)
    lifecycle.settle(task, FATAL)
    return task


# Cancel


def test_waiting_task_is_cancelled_at_once():
    task = submit()
    done = lifecycle.cancel(ANN, task.id)
    assert (done.outcome, done.task.state, done.task.finished_at_ms) == ("cancelled", "cancelled", NOON_MS)
    assert claim() is None
    assert events(task)[-1] == ("queued", "cancelled")


@pytest.mark.parametrize("waits", ["scheduled", "retrying"])
def test_task_that_waits_for_its_time_is_cancelled_at_once(waits, wall):
    if waits == "scheduled":
        task = submit(run_at_ms=NOON_MS + 5_000)
    else:
        task = submit_and_claim()
        lifecycle.settle(task, FAIL)
    assert lifecycle.cancel(ANN, task.id).outcome == "cancelled"
    wall.advance(60)
    assert claim() is None
    assert events(task)[-1] == (waits, "cancelled")


def test_running_task_is_asked_and_says_who_asked_when_it_stops():
    task = submit_and_claim()
    assert lifecycle.cancel(OPS, task.id).outcome == "requested"
    assert state(task) == "running"
    assert row(task).document()["cancel_requested"] is True
    assert lifecycle.settle(task, Ending(Outcome.CANCELLED)) == "cancelled"
    assert reasons(task)[-1] == "stopped as olga asked"


@pytest.mark.parametrize("ending", [FAIL, FATAL, Ending(Outcome.INTERRUPTED), Ending(Outcome.DEFERRED)])
def test_asked_task_is_not_run_again_however_the_attempt_ends(ending):
    task = submit_and_claim()
    lifecycle.cancel(ANN, task.id)
    assert lifecycle.settle(task, ending) == "cancelled"


def test_finish_that_comes_before_the_stop_wins():
    task = submit_and_claim()
    lifecycle.cancel(ANN, task.id)
    assert lifecycle.settle(task, DONE) == "succeeded"


def test_cancel_after_the_end_says_so_and_changes_nothing():
    task = submit_and_claim()
    lifecycle.settle(task, DONE)
    done = lifecycle.cancel(ANN, task.id)
    assert (done.outcome, done.task.state) == ("ended", "succeeded")
    assert row(task).cancel_requested_at_ms is None


def test_second_cancel_keeps_the_first_name_and_time(wall):
    task = submit_and_claim()
    lifecycle.cancel(ANN, task.id)
    wall.advance(1)
    assert lifecycle.cancel(OPS, task.id).outcome == "requested"
    assert (row(task).cancel_requested_by, row(task).cancel_requested_at_ms) == ("ann", NOON_MS)


@pytest.mark.parametrize("turn", range(10))
def test_cancel_racing_with_the_claim_has_one_winner(turn):
    task = submit()
    cancelled, claimed = in_threads(lambda: lifecycle.cancel(ANN, task.id), claim)
    if cancelled.outcome == "cancelled":
        assert claimed is None
        assert state(task) == "cancelled"
    else:
        assert (cancelled.outcome, claimed.id) == ("requested", task.id)


@pytest.mark.parametrize("turn", range(10))
def test_cancel_racing_with_the_finish_has_one_winner_and_says_which(turn):
    task = submit_and_claim()
    cancelled, settled = in_threads(
        lambda: lifecycle.cancel(ANN, task.id), lambda: lifecycle.settle(task, DONE)
    )
    assert settled == "succeeded"
    assert cancelled.outcome in ("requested", "ended")
    assert state(task) == "succeeded"


def test_task_of_somebody_else_is_not_found():
    task = submit()
    for actor in (BOB, EVE):
        for verb in (lifecycle.cancel, lifecycle.retry):
            with pytest.raises(NotFound):
                verb(actor, task.id)
    assert state(task) == "queued"


def test_viewer_may_look_at_own_old_work_but_not_act():
    task = submit(actor=OPS)
    with pytest.raises(Forbidden):
        lifecycle.cancel(EVE.__class__("olga", Role.VIEWER), task.id)


# Retry by hand


def test_retry_keeps_id_and_history_and_starts_the_count_again():
    task = failed_task()
    again = lifecycle.retry(ANN, task.id)
    assert (again.created, again.task.id, again.task.state) == (False, task.id, "queued")
    assert (again.task.failures, again.task.error_code, again.task.progress) == (0, None, 0)
    second = claim()
    assert second.attempt == 2
    lifecycle.settle(second, DONE)
    assert [a["outcome"] for a in attempts(task)] == ["failed", "succeeded"]
    assert reasons(task) == ["", "", "retry"]


def test_retried_task_may_fail_as_often_as_a_new_one(wall):
    task = failed_task()
    lifecycle.retry(ANN, task.id)
    states = []
    for _ in range(3):
        states.append(lifecycle.settle(claim(), FAIL))
        wall.advance(60)
    assert states == ["retrying", "retrying", "failed"]


def test_cancelled_and_expired_tasks_may_be_retried(wall):
    cancelled = submit()
    lifecycle.cancel(ANN, cancelled.id)
    add_type("brief", expires_s=5)
    expired = submit("brief")
    wall.advance(6)
    lifecycle.expire_waiting()
    for task in (cancelled, expired):
        lifecycle.retry(ANN, task.id)
        assert claim().id == task.id
        assert row(task).cancel_requested_at_ms is None


@pytest.mark.parametrize("now", ["queued", "running", "succeeded", "retrying"])
def test_task_that_has_not_failed_cannot_be_retried(now):
    task = submit()
    if now != "queued":
        task = claim()
    if now in ("succeeded", "retrying"):
        lifecycle.settle(task, DONE if now == "succeeded" else FAIL)
    with pytest.raises(Conflict, match=now):
        lifecycle.retry(ANN, task.id)
    assert state(task) == now


def test_two_retries_at_once_run_it_once():
    task = failed_task()
    results = in_threads(*[lambda: lifecycle.retry(ANN, task.id)] * 2)
    assert len([r for r in results if isinstance(r, Conflict)]) == 1
    assert claim().id == task.id
    assert claim() is None


def test_retry_with_an_edited_payload_is_a_new_task_that_names_its_parent():
    task = failed_task(payload={"size": 2})
    edited = lifecycle.retry(ANN, task.id, {"size": 3})
    assert edited.created
    assert (edited.task.parent_id, edited.task.payload) == (task.id, '{"size":3}')
    assert edited.task.correlation_id == task.correlation_id
    assert edited.task.document()["parent_id"] == task.id
    assert (state(task), row(task).payload) == ("failed", '{"size":2}')


def test_retry_with_a_wrong_payload_changes_nothing():
    task = failed_task()
    with pytest.raises(InvalidInput):
        lifecycle.retry(ANN, task.id, {"size": 0})
    assert db.main().value("select count(*) from tasks") == 1


def test_retry_needs_the_role_of_the_type():
    add_type("drill", min_role=Role.OPS)
    task = failed_task(type_name="drill", actor=OPS)
    with pytest.raises(Forbidden):
        lifecycle.retry(ANN.__class__("olga", Role.STAFF), task.id)


def test_retry_of_a_type_without_code_says_so():
    task = failed_task()
    registry._types.clear()
    with pytest.raises(NotFound):
        lifecycle.retry(ANN, task.id)
    assert state(task) == "failed"


# Purge, pause


def test_purge_cancels_what_waits_and_deletes_nothing(wall):
    running = submit_and_claim()
    retrying = submit_and_claim()
    lifecycle.settle(retrying, FAIL)
    waiting = [submit(), submit(run_at_ms=NOON_MS + 9_000), retrying]
    assert lifecycle.purge(OPS) == 3
    assert {state(task) for task in waiting} == {"cancelled"}
    assert state(running) == "running"
    assert reasons(waiting[0])[-1] == "queue purged"
    assert [e[1] for e in events(waiting[0])] == ["queued", "cancelled"]
    assert lifecycle.purge(OPS) == 0


def test_purge_goes_beyond_one_batch():
    lifecycle.submit_many(ANN, "job", [{}] * 2_500)
    assert lifecycle.purge(OPS) == 2_500


def test_purge_leaves_what_is_submitted_meanwhile_and_so_ends(monkeypatch):
    submit()
    purge_batch, later = control._purge_batch, []

    def and_another_comes(*args):
        assert len(later) < 3, "a purge that never ends"
        later.append(submit())
        return purge_batch(*args)

    monkeypatch.setattr(control, "_purge_batch", and_another_comes)
    assert lifecycle.purge(OPS) == 1
    assert {state(task) for task in later} == {"queued"}


def test_purge_of_a_type_that_never_was_is_refused_but_not_of_one_whose_code_is_gone(monkeypatch):
    with pytest.raises(InvalidInput):
        lifecycle.purge(OPS, "jbo")
    submit()
    monkeypatch.setattr(registry, "_types", {})
    assert lifecycle.purge(OPS, "job") == 1


def test_purge_of_a_type_spares_the_others_and_system_work_always():
    add_type("other")
    add_type("cleanup", system=True)
    spared, purged = submit("other"), submit()
    system = submit("cleanup", actor=SYSTEM)
    assert lifecycle.purge(OPS, "job") == 1
    assert lifecycle.purge(OPS, "cleanup") == 0
    assert lifecycle.purge(OPS) == 1
    assert [state(t) for t in (spared, purged, system)] == ["cancelled", "cancelled", "queued"]


@pytest.mark.parametrize(
    "act", [lifecycle.purge, lifecycle.pause, lifecycle.resume], ids=lambda verb: verb.__name__
)
def test_the_queue_belongs_to_ops(act):
    for actor in (ANN, EVE):
        with pytest.raises(Forbidden):
            act(actor)


def test_pause_and_resume_say_whether_they_changed_anything():
    assert lifecycle.pause(OPS, note="move") is True
    assert lifecycle.pause(OPS) is False
    assert lifecycle.resume(OPS) is True
    assert lifecycle.resume(OPS) is False


def test_unknown_and_system_types_are_not_paused():
    add_type("cleanup", system=True)
    for scope in ("nonsense", "cleanup"):
        with pytest.raises(InvalidInput):
            lifecycle.pause(OPS, scope)


def test_lost_task_cannot_be_settled_as_cancelled():
    task = submit_and_claim()
    lifecycle.cancel(ANN, task.id)
    lifecycle.rescue(lambda _row: True, trust_leases=True)
    assert state(task) == "cancelled"
    with pytest.raises(LeaseLost):
        lifecycle.settle(task, Ending(Outcome.CANCELLED))
