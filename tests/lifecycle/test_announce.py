import pytest

from engine import lifecycle, registry
from engine.lifecycle import announce
from engine.lifecycle.run import finish
from engine.records import db
from engine.registry import TaskType
from engine.services.webhooks import endpoints
from engine.tasks.webhook_delivery import Delivery
from engine.words import TaskState
from tests.engine_kit import ANN, DONE, NOON_MS, OPS, add_type, claim, state, submit_and_claim

DELIVERY = TaskType(announce.DELIVERY_TYPE, Delivery, lambda payload, task: None, "Delivery", system=True)


@pytest.fixture(autouse=True)
def house(data_dir, no_types, wall):
    add_type()


def listen(url="https://hooks.example.com:8443/in"):
    endpoints.create(ANN, {"url": url, "events": ["task.*"]})


def deliveries():
    return db.main().value("select count(*) from webhook_deliveries")


def test_end_of_a_task_and_the_delivery_that_tells_of_it_are_one_step():
    registry._types[announce.DELIVERY_TYPE] = DELIVERY
    listen()
    task = submit_and_claim()
    with pytest.raises(ZeroDivisionError), db.main().write() as tx:
        finish(tx, task, TaskState.SUCCEEDED, now_ms=NOON_MS)
        assert tx.value("select count(*) from webhook_deliveries") == 1
        raise ZeroDivisionError
    assert (deliveries(), state(task)) == (0, "running")
    lifecycle.settle(task, DONE)
    assert deliveries() == 1
    assert claim().parent_id == task.id


def test_ports_closed_later_do_not_keep_tasks_from_ending(monkeypatch):
    listen()
    registry._types[announce.DELIVERY_TYPE] = DELIVERY
    monkeypatch.setenv("OFFLOAD_CALL_PORTS", "443")
    db.reset()
    task = submit_and_claim()
    assert lifecycle.settle(task, DONE) == "succeeded"
    assert deliveries() == 1


def test_event_that_cannot_be_written_does_not_undo_the_outcome(monkeypatch):
    def half(tx, *_):
        tx.run("insert into queue_pauses (scope, paused_at_ms, paused_by) values ('half', 1, 'x')")
        raise ValueError("cannot be written")

    listen()
    monkeypatch.setattr(announce, "_write", half)
    task = submit_and_claim()
    assert lifecycle.settle(task, DONE) == "succeeded"
    assert state(task) == "succeeded"
    assert db.main().value("select count(*) from queue_pauses") == 0


def test_delivery_whose_task_is_stopped_ends_and_can_be_replayed():
    registry._types[announce.DELIVERY_TYPE] = DELIVERY
    listen()
    lifecycle.settle(submit_and_claim(), DONE)
    task_id = db.main().value("select id from tasks where type = 'webhook_delivery'")
    lifecycle.cancel(OPS, task_id)
    row = db.main().one("select id, state, error_code from webhook_deliveries")
    assert (row["state"], row["error_code"]) == ("failed", "task_cancelled")
    assert endpoints.replay(ANN, row["id"]) != task_id
