"""What people do with schedules, and what is refused."""

import json

import pytest

from engine import clock
from engine.errors import Conflict, Forbidden, InvalidInput, NotFound, RateLimited
from engine.records import db
from engine.services import schedules
from engine.words import Actor, Role
from tests import engine_kit as kit
from tests import schedule_kit as made


@pytest.fixture(autouse=True)
def house(data_dir, no_types, wall):
    kit.add_type()
    kit.add_type("heavy", min_role=Role.OPS)
    kit.add_type("inner", system=True)
    made.add_people()


def refused(**fields):
    with pytest.raises(InvalidInput) as caught:
        made.add(**fields)
    assert db.main().value("select count(*) from schedules") == 0
    return caught.value


def test_created_with_its_plan_and_history():
    schedule = made.add(cron="0 14 * * *", zone="Europe/Berlin", note="hello", payload={"size": "3"})
    document = made.stored(schedule).document()
    assert document["next_run"] == "2025-12-01T13:00:00.000Z"
    assert document["payload"] == {"size": 3}
    assert (document["owner"], document["catch_up"], document["overlap"]) == ("ann", "last", "allow")
    assert made.history(schedule) == ["created"]
    assert db.main().value("select action from audit") == "schedule.created"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": None}, "cron"),
        ({"zone": "Mars"}, "zone"),
        ({"type": "nothing"}, "type"),
        ({"payload": {"size": 0}}, "payload.size"),
        ({"payload": {"colour": "red"}}, "payload.colour"),
        ({"payload": "x"}, "payload"),
        ({"priority": 101}, "priority"),
        ({"catch_up": "some"}, "catch_up"),
        ({"catch_up_max": 0}, "catch_up_max"),
        ({"overlap": "maybe"}, "overlap"),
        ({"jitter_s": -1}, "jitter_s"),
        ({"start": "noon"}, "start"),
        ({"end": "2025-12-01T12:04:00Z"}, "end"),
        ({"start": "2026-01-01", "end": "2025-12-31"}, "end"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_field_is_named(fields, path):
    assert set(refused(**fields).fields) == {path}


def test_wrong_expression_keeps_code_and_position():
    error = refused(cron="0 0 * * mon#2")
    assert (error.code, error.position) == ("unsupported", 11)


def test_all_wrong_fields_are_named_at_once():
    assert set(refused(cron="x", zone="Mars", type="nothing", start="noon").fields) == {
        "cron",
        "zone",
        "type",
    }


def test_types_beyond_the_role_or_of_the_installation_are_forbidden():
    for name in ("heavy", "inner"):
        with pytest.raises(Forbidden):
            made.add(type=name)
    with pytest.raises(Forbidden):
        made.add(actor=Actor("system", Role.ADMIN, "cli"), type="inner")
    with pytest.raises(Forbidden):
        made.add(actor=kit.EVE)
    assert made.add(actor=kit.OPS, type="heavy").type == "heavy"


def test_a_name_is_unique_per_owner():
    made.add()
    with pytest.raises(Conflict):
        made.add()
    made.add(actor=kit.BOB)


def test_change_keeps_history_and_plans_anew(wall):
    schedule = made.add()
    wall.advance(10)
    after = schedules.change(kit.ANN, schedule.id, {"cron": "@hourly", "name": "hourly"})
    assert (after.name, after.next_at_ms) == ("hourly", kit.NOON_MS + 60 * made.MINUTE_MS)
    row = db.main().one("select * from schedule_changes where action = 'changed'")
    assert json.loads(row["detail"]) == {"cron": ["*/5 * * * *", "@hourly"], "name": ["nightly", "hourly"]}


def test_change_is_checked_like_creation():
    schedule = made.add()
    with pytest.raises(InvalidInput) as caught:
        schedules.change(kit.ANN, schedule.id, {"payload": {"size": 0}})
    assert set(caught.value.fields) == {"payload.size"}
    with pytest.raises(Forbidden):
        schedules.change(kit.ANN, schedule.id, {"type": "heavy"})
    made.add(name="other")
    with pytest.raises(Conflict):
        schedules.change(kit.ANN, schedule.id, {"name": "other"})


def test_a_change_by_ops_keeps_the_owner_and_the_owners_limits():
    schedule = made.add()
    assert schedules.change(kit.OPS, schedule.id, {"note": "seen"}).owner == "ann"
    with pytest.raises(Forbidden):
        schedules.change(kit.OPS, schedule.id, {"type": "heavy"})


def test_others_do_not_see_it():
    schedule = made.add()
    for act in (
        lambda: schedules.change(kit.BOB, schedule.id, {"note": "x"}),
        lambda: schedules.pause(kit.BOB, schedule.id),
        lambda: schedules.run_now(kit.BOB, schedule.id),
        lambda: schedules.remove(kit.BOB, schedule.id),
        lambda: schedules.pause(kit.ANN, "nothing"),
    ):
        with pytest.raises(NotFound):
            act()


def test_pause_and_resume_do_not_make_up(wall):
    schedule = made.add()
    assert schedules.pause(kit.ANN, schedule.id).document()["next_run"] is None
    wall.advance(3600)
    assert schedules.enqueue_due() == 0
    resumed = schedules.resume(kit.ANN, schedule.id)
    assert resumed.next_at_ms == kit.NOON_MS + 65 * made.MINUTE_MS
    assert schedules.enqueue_due() == 0
    assert made.occurrences(schedule) == []
    assert made.history(schedule) == ["created", "paused", "resumed"]


def test_resume_after_the_end_is_a_conflict(wall):
    schedule = made.add(end="2025-12-01T12:30:00Z")
    schedules.pause(kit.ANN, schedule.id)
    wall.advance(3600)
    with pytest.raises(Conflict):
        schedules.resume(kit.ANN, schedule.id)


def test_run_now_does_not_move_the_plan():
    schedule = made.add(payload={"size": 9})
    task = schedules.run_now(kit.OPS, schedule.id)
    assert (task.owner, task.schedule_id, task.payload) == ("ann", schedule.id, '{"size":9}')
    assert made.stored(schedule).next_at_ms == schedule.next_at_ms
    assert made.occurrences(schedule) == []


def test_run_now_needs_the_role_of_the_one_who_asks():
    schedule = made.add(actor=kit.OPS, type="heavy")
    with pytest.raises(NotFound):
        schedules.run_now(kit.ANN, schedule.id)


@pytest.mark.parametrize(
    ("waiting", "state", "n"), [("keep", "queued", (0, 1)), ("cancel", "cancelled", (1, 0))]
)
def test_removed_with_what_happens_to_waiting_tasks(wall, waiting, state, n):
    schedule = made.add(overlap="queue")
    for _ in range(2):
        wall.advance(300)
        schedules.enqueue_due()
    done = schedules.remove(kit.ANN, schedule.id, waiting=waiting)
    assert (done.n_cancelled, done.n_kept) == n
    task_id = db.main().value("select id from tasks")
    assert kit.state(task_id) == state
    assert made.decisions(schedule) == [(5, "enqueued"), (10, "skipped")]
    assert made.stored(schedule) is None
    wall.advance(3600)
    assert schedules.enqueue_due() == 0
    assert made.add().name == schedule.name  # the name is free again


def test_batch_stores_all():
    found = schedules.create_many(kit.ANN, [made.draft(name=f"n{i}") for i in range(500)])
    assert len(found) == 500
    assert db.main().value("select count(*) from schedules where next_at_ms is not null") == 500


def test_batch_with_a_wrong_row_stores_nothing():
    made.add(name="taken")
    rows = [
        made.draft(name="a"),
        made.draft(name="b", cron="61 * * * *", payload={"size": 0}),
        made.draft(name="a"),
        made.draft(name="taken"),
        made.draft(name="c", type="heavy"),
    ]
    with pytest.raises(InvalidInput) as caught:
        schedules.create_many(kit.ANN, rows)
    assert set(caught.value.fields) == {
        "schedules.1.cron",
        "schedules.1.payload.size",
        "schedules.2.name",
        "schedules.3.name",
        "schedules.4.type",
    }
    assert "4 of 5 rows" in caught.value.message
    assert db.main().value("select count(*) from schedules") == 1


@pytest.mark.parametrize("n", [0, 501])
def test_batch_is_bounded(n):
    with pytest.raises(InvalidInput) as caught:
        schedules.create_many(kit.ANN, [made.draft(name=str(i)) for i in range(n)])
    assert caught.value.code == "batch_size"


def test_the_types_own_check_runs_now_and_leaves_nothing_behind():
    def admit(tx, actor, payload):
        tx.run("insert into queue_pauses (scope, paused_at_ms, paused_by) values ('x', 1, 'y')")
        if payload.size == 13:
            raise InvalidInput("No.", fields={"size": "not thirteen"})
        if payload.size == 14:
            raise InvalidInput("Not today.")
        if payload.size == 15:
            raise RateLimited
        return payload.model_copy(update={"size": 99})

    kit.add_type(
        "picky", on_submit=admit, protect=lambda owner, payload: payload.model_copy(update={"size": 2})
    )
    with pytest.raises(InvalidInput) as caught:
        made.add(type="picky", payload={"size": 13})
    assert caught.value.fields == {"payload.size": "not thirteen"}
    with pytest.raises(InvalidInput) as caught:
        made.add(type="picky", payload={"size": 14})
    assert caught.value.fields == {"payload": "Not today."}
    assert made.add(type="picky", payload={"size": 15}).payload == '{"size":2}'
    assert db.main().value("select count(*) from queue_pauses") == 0


def test_two_changes_at_once_do_not_overwrite_each_other(monkeypatch):
    schedule = made.add()
    check = schedules.drafts.check

    def check_slowly(*given):
        monkeypatch.setattr(schedules.drafts, "check", check)
        schedules.change(kit.ANN, schedule.id, {"note": "first"})
        return check(*given)

    monkeypatch.setattr(schedules.drafts, "check", check_slowly)
    with pytest.raises(Conflict):
        schedules.change(kit.ANN, schedule.id, {"note": "second"})
    assert made.stored(schedule).note == "first"


def test_a_change_of_anything_but_the_times_drops_no_due_time(wall):
    schedule = made.add(catch_up="all", cron="*/5 * * * *")
    wall.advance(11 * 60)  # two due times that no beat has seen yet
    schedules.change(kit.ANN, schedule.id, {"note": "mine", "priority": 7, "zone": "UTC"})
    assert made.stored(schedule).next_at_ms == schedule.next_at_ms
    assert schedules.enqueue_due() == 2
    assert made.decisions(schedule) == [(5, "enqueued"), (10, "enqueued")]


@pytest.mark.parametrize("fields", [{"cron": "*/10 * * * *"}, {"end": "2025-12-24"}, {"zone": "Asia/Tokyo"}])
def test_a_change_of_the_times_plans_anew(wall, fields):
    schedule = made.add(catch_up="all", cron="*/5 * * * *")
    wall.advance(11 * 60)
    schedules.change(kit.ANN, schedule.id, fields)
    assert made.stored(schedule).next_at_ms > clock.now_ms()
