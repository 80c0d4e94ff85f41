import pytest
from pydantic import BaseModel

from engine import lifecycle, registry
from engine.errors import Conflict, Forbidden, InvalidInput, NotFound, RateLimited
from engine.records import db
from engine.words import SYSTEM, Role
from tests.engine_kit import (
    ANN,
    BOB,
    EVE,
    NOON_MS,
    OPS,
    add_type,
    claim,
    events,
    in_threads,
    row,
    state,
    submit,
)


@pytest.fixture(autouse=True)
def house(data_dir, no_types, wall):
    add_type()


def n_tasks():
    return db.main().value("select count(*) from tasks")


def test_submitted_task_is_queued_with_its_checked_payload():
    task = submit(payload={"size": 7}, correlation_id="c0ffee")
    assert (task.state, task.payload, task.owner) == ("queued", '{"size":7}', "ann")
    assert (task.correlation_id, task.created_at_ms, task.due_at_ms) == ("c0ffee", NOON_MS, 0)
    assert events(task) == [(None, "queued")]


def test_defaults_are_stored_so_that_a_later_default_changes_nothing():
    assert submit().payload == '{"size":1}'


def test_same_key_and_payload_give_the_first_task():
    first = lifecycle.submit(ANN, "job", {"size": 2}, idempotency_key="k")
    again = lifecycle.submit(ANN, "job", {"size": 2}, idempotency_key="k")
    assert (first.created, again.created) == (True, False)
    assert again.task.id == first.task.id
    assert n_tasks() == 1


def test_equal_payload_spelled_differently_is_the_same():
    submit(payload={"size": 1}, idempotency_key="k")
    assert not lifecycle.submit(ANN, "job", {}, idempotency_key="k").created


def test_same_key_with_another_payload_is_a_conflict():
    submit(payload={"size": 2}, idempotency_key="k")
    with pytest.raises(Conflict) as caught:
        submit(payload={"size": 3}, idempotency_key="k")
    assert caught.value.code == "idempotency_conflict"
    assert n_tasks() == 1


def test_key_belongs_to_owner_and_type():
    add_type("other")
    ids = {
        submit(idempotency_key="k").id,
        submit(idempotency_key="k", actor=BOB).id,
        submit("other", idempotency_key="k").id,
    }
    assert len(ids) == 3


def test_key_still_names_its_task_after_the_end():
    task = submit(idempotency_key="k")
    lifecycle.cancel(ANN, task.id)
    assert submit(idempotency_key="k").id == task.id


def test_eight_clients_at_once_with_one_key_make_one_task():
    def one():
        return lifecycle.submit(ANN, "job", {}, idempotency_key="k")

    found = in_threads(*[one] * 8)
    assert len({f.task.id for f in found}) == 1
    assert sorted(f.created for f in found) == [False] * 7 + [True]
    assert n_tasks() == 1


@pytest.mark.parametrize("payload", [{"size": 0}, {"size": "many"}, {"colour": "red"}])
def test_wrong_payload_is_refused_by_field_and_writes_nothing(payload):
    with pytest.raises(InvalidInput) as caught:
        submit(payload=payload)
    assert set(caught.value.fields) == set(payload)
    assert n_tasks() == 0


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "x" * 201}, "idempotency_key"),
        ({"idempotency_key": "\ud83d"}, "idempotency_key"),
        ({"priority": 101}, "priority"),
        ({"priority": -101}, "priority"),
        ({"run_at_ms": NOON_MS + 367 * 86_400_000}, "run_at"),
    ],
)
def test_wrong_option_is_named(option, field):
    with pytest.raises(InvalidInput) as caught:
        submit(**option)
    assert list(caught.value.fields) == [field]
    assert n_tasks() == 0


def test_unknown_type_names_the_known_ones():
    with pytest.raises(NotFound, match="There are: job") as caught:
        submit("nonsense")
    assert caught.value.code == "unknown_type"


def test_role_below_that_of_the_type_is_refused():
    add_type("drill", min_role=Role.OPS)
    for actor in (EVE, ANN):
        with pytest.raises(Forbidden):
            submit("drill", actor=actor)
    assert submit("drill", actor=OPS).type == "drill"


def test_system_type_is_submitted_by_the_installation_only():
    add_type("cleanup", system=True)
    with pytest.raises(Forbidden):
        submit("cleanup", actor=OPS)
    assert submit("cleanup", actor=SYSTEM).owner == "system"


def test_later_task_is_scheduled_and_not_claimed_before_its_time(wall):
    task = submit(run_at_ms=NOON_MS + 60_000)
    assert (task.state, task.queued_at_ms) == ("scheduled", None)
    wall.advance(59.9)
    assert claim() is None
    assert task.document()["state"] == "scheduled"
    wall.advance(0.1)
    assert task.document()["state"] == "queued"
    assert claim().id == task.id
    assert events(task) == [(None, "scheduled"), ("scheduled", "queued")]


def test_time_in_the_past_means_at_once():
    assert submit(run_at_ms=NOON_MS - 1).state == "queued"


def test_expiry_counts_from_the_time_to_start():
    add_type("brief", expires_s=30)
    assert submit("brief").expires_at_ms == NOON_MS + 30_000
    assert submit("brief", run_at_ms=NOON_MS + 60_000).expires_at_ms == NOON_MS + 90_000


def test_on_submit_may_change_the_payload_or_refuse():
    class Refusing:
        quota = 1

        def __call__(self, tx, actor, model: BaseModel):
            if self.quota == 0:
                raise RateLimited("Enough for this hour.")
            self.quota -= 1
            return model.model_copy(update={"size": 99})

    add_type("metered", on_submit=Refusing())
    assert submit("metered", idempotency_key="k").payload == '{"size":99}'
    with pytest.raises(RateLimited):
        submit("metered")
    assert submit("metered", idempotency_key="k").payload == '{"size":99}'  # asks for no second quota
    assert n_tasks() == 1


def test_many_are_accepted_in_order():
    ids = lifecycle.submit_many(ANN, "job", [{"size": n} for n in (3, 1, 2)], priority=5)
    assert [row(i).payload for i in ids] == ['{"size":3}', '{"size":1}', '{"size":2}']
    assert {row(i).priority for i in ids} == {5}
    assert [claim().id for _ in ids] == ids


def test_many_are_all_accepted_or_none():
    with pytest.raises(InvalidInput) as caught:
        lifecycle.submit_many(ANN, "job", [{}, {"size": 0}, {}, {"sice": 1}])
    assert set(caught.value.fields) == {"1.size", "3.sice"}
    assert n_tasks() == 0


def test_many_are_none_when_the_last_is_refused_in_the_transaction():
    seen = []

    def third_is_too_many(tx, actor, model):
        seen.append(model)
        if len(seen) == 3:
            raise RateLimited
        return model

    add_type("metered", on_submit=third_is_too_many)
    with pytest.raises(RateLimited):
        lifecycle.submit_many(ANN, "metered", [{}, {}, {}])
    assert n_tasks() == 0


def test_task_is_the_callers_transaction_or_nothing():
    with pytest.raises(ZeroDivisionError), db.main().write() as tx:
        lifecycle.submit_in(tx, ANN, "job", {})
        raise ZeroDivisionError
    assert n_tasks() == 0


def test_document_has_the_documented_shape():
    document = submit(payload={"size": 7}, correlation_id="c0ffee").document()
    task_id = document["task_id"]
    assert document == {
        "task_id": task_id,
        "type": "job",
        "state": "queued",
        "late": False,
        "stalled": False,
        "progress": 0,
        "progress_note": "",
        "attempt": 0,
        "max_attempts": 3,
        "owner": "ann",
        "created_at": "2025-12-01T12:00:00.000Z",
        "started_at": None,
        "finished_at": None,
        "error": None,
        "result": None,
        "correlation_id": "c0ffee",
        "cancel_requested": False,
        "priority": 0,
        "run_at": None,
        "parent_id": None,
        "links": {
            "status": f"/async-monitoring/tasks/{task_id}/status/",
            "stream": f"/async-monitoring/tasks/{task_id}/stream/",
            "cancel": f"/async-monitoring/tasks/{task_id}/cancel/",
        },
    }


def test_type_that_is_gone_stays_waiting():
    task = submit()
    registry._types.clear()
    add_type("other")
    assert claim() is None
    assert state(task) == "queued"
