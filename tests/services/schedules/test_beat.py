"""What the beat enqueues: once, on time, after outages, beside other beats and over clock changes."""

import threading
from datetime import datetime

import pytest

from engine import clock, lifecycle, registry
from engine.errors import Forbidden
from engine.records import db, users
from engine.records import schedules as rows
from engine.services import schedules
from engine.services.schedules import beat
from engine.words import TaskState
from tests import engine_kit as kit
from tests import schedule_kit as made

HOUR_S = 3600


@pytest.fixture(autouse=True)
def house(data_dir, no_types, wall):
    kit.add_type()
    made.add_people()
    return wall


def run_all():
    """Run and finish everything that waits, as workers would."""
    while task := kit.claim():
        lifecycle.settle(task, kit.DONE)


def test_nothing_before_its_time(wall):
    schedule = made.add()
    wall.advance(299)
    assert schedules.enqueue_due() == 0
    assert made.occurrences(schedule) == []


def test_due_occurrence_becomes_a_task_once(wall):
    schedule = made.add(payload={"size": 7}, priority=5)
    wall.advance(300)
    assert schedules.enqueue_due() == 1
    assert schedules.enqueue_due() == 0
    assert made.occurrences(schedule) == [(5, "enqueued", 0, True)]
    task = kit.claim()
    assert (task.owner, task.priority, task.schedule_id, task.payload) == (
        "ann",
        5,
        schedule.id,
        '{"size":7}',
    )
    assert made.stored(schedule).next_at_ms == kit.NOON_MS + 10 * made.MINUTE_MS


def test_many_beats_at_once_enqueue_each_occurrence_once(wall):
    planned = [made.add(name=f"s{i}", cron="* * * * *") for i in range(20)]
    errors = []

    def consume():
        try:
            for _ in range(3):
                schedules.enqueue_due()
        except Exception as error:
            errors.append(error)

    for _ in range(3):
        wall.advance(60)
        threads = [threading.Thread(target=consume) for _ in range(3)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    assert errors == []
    for schedule in planned:
        assert made.occurrences(schedule) == [(n, "enqueued", 0, True) for n in (1, 2, 3)]
        assert made.n_tasks(schedule) == 3


def test_a_beat_that_dies_leaves_nothing_behind(wall, monkeypatch):
    schedule = made.add()
    wall.advance(300)

    def die(*_, **__):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(rows, "decide", die)
        with pytest.raises(MemoryError):
            schedules.enqueue_due()
    assert made.occurrences(schedule) == []
    assert schedules.enqueue_due() == 1
    assert made.n_tasks(schedule) == 1


def test_an_occurrence_recorded_before_is_not_enqueued_again(wall):
    schedule = made.add()
    wall.advance(300)
    schedules.enqueue_due()
    with db.main().write() as tx:  # the clock was set back, or a plan was restored from a backup
        rows.update(tx, schedule.id, {"next_at_ms": kit.NOON_MS + 5 * made.MINUTE_MS})
    assert schedules.enqueue_due() == 0
    assert made.n_tasks(schedule) == 1


@pytest.mark.parametrize(
    ("rule", "decided"),
    [
        ("skip", [(5, "skipped"), (10, "skipped"), (15, "skipped"), (20, "enqueued")]),
        ("last", [(5, "skipped"), (10, "skipped"), (15, "skipped"), (20, "enqueued")]),
        ("all", [(5, "skipped"), (10, "enqueued"), (15, "enqueued"), (20, "enqueued")]),
    ],
)
def test_missed_occurrences_follow_the_rule_beside_one_just_due(wall, rule, decided):
    schedule = made.add(catch_up=rule, catch_up_max=2)
    wall.advance(20 * 60 + 30)
    schedules.enqueue_due()
    assert made.decisions(schedule) == decided
    made_up = int(rule == "all")
    assert [caught_up for _, _, caught_up, _ in made.occurrences(schedule)] == [0, made_up, made_up, 0]


@pytest.mark.parametrize(
    ("rule", "decided"),
    [
        ("skip", [(60, "skipped", 0, False), (120, "skipped", 0, False)]),
        ("last", [(60, "skipped", 0, False), (120, "enqueued", 1, True)]),
        ("all", [(60, "enqueued", 1, True), (120, "enqueued", 1, True)]),
    ],
)
def test_missed_occurrences_follow_the_rule_alone(wall, rule, decided):
    schedule = made.add(cron="@hourly", catch_up=rule)
    wall.advance(2.5 * HOUR_S)
    schedules.enqueue_due()
    assert made.occurrences(schedule) == decided
    assert made.stored(schedule).next_at_ms == kit.NOON_MS + 180 * made.MINUTE_MS


@pytest.mark.parametrize(
    ("overlap", "n_made_up", "n_waiting"), [("allow", 3, 0), ("skip", 1, 0), ("queue", 1, 2)]
)
def test_the_event_counts_as_made_up_what_was_enqueued(wall, monkeypatch, overlap, n_made_up, n_waiting):
    told = []
    monkeypatch.setattr(lifecycle, "emit", lambda tx, event, data, *, owner: told.append((event, data)))
    made.add(cron="@hourly", catch_up="all", catch_up_max=3, overlap=overlap)
    wall.advance(4.5 * HOUR_S)
    assert schedules.enqueue_due() == n_made_up
    [(event, data)] = [one for one in told if one[0].startswith("schedule.")]
    assert event == "schedule.missed"
    assert (data["n_missed"], data["n_made_up"], data["n_waiting"]) == (4, n_made_up, n_waiting)
    assert (data["first_due"], data["last_due"]) == ("2025-12-01T13:00:00.000Z", "2025-12-01T16:00:00.000Z")


def test_a_short_delay_is_not_missed(wall):
    schedule = made.add(catch_up="skip")
    wall.advance(300 + 59)
    assert schedules.enqueue_due() == 1
    assert made.occurrences(schedule) == [(5, "enqueued", 0, True)]


def test_overlap_skip(wall):
    schedule = made.add(overlap="skip")
    wall.advance(300)
    schedules.enqueue_due()
    wall.advance(300)
    schedules.enqueue_due()
    run_all()
    wall.advance(300)
    schedules.enqueue_due()
    assert made.decisions(schedule) == [(5, "enqueued"), (10, "overlapped"), (15, "enqueued")]


def test_overlap_queue_runs_one_after_the_other(wall):
    schedule = made.add(overlap="queue")
    for _ in range(3):
        wall.advance(300)
        schedules.enqueue_due()
    assert made.decisions(schedule) == [(5, "enqueued"), (10, "waiting"), (15, "waiting")]
    assert schedules.enqueue_due() == 0
    run_all()
    assert schedules.enqueue_due() == 1
    assert made.decisions(schedule) == [(5, "enqueued"), (10, "enqueued"), (15, "waiting")]
    assert schedules.enqueue_due() == 0
    run_all()
    assert schedules.enqueue_due() == 1
    assert made.n_tasks(schedule) == 3


def test_overlap_queue_is_bounded(wall, monkeypatch):
    monkeypatch.setenv("OFFLOAD_SCHEDULE_WAITING_MAX", "1")
    db.reset()
    schedule = made.add(overlap="queue")
    for _ in range(3):
        wall.advance(300)
        schedules.enqueue_due()
    assert made.decisions(schedule) == [(5, "enqueued"), (10, "waiting"), (15, "overlapped")]


def test_overlap_allow(wall):
    schedule = made.add(overlap="allow")
    for _ in range(2):
        wall.advance(300)
        schedules.enqueue_due()
    assert made.n_tasks(schedule) == 2


def test_jitter_is_bounded_spread_and_the_same_for_all(wall):
    schedule = made.add(jitter_s=600)
    delays = {beat.jitter_ms(schedule, kit.NOON_MS + n * made.MINUTE_MS) for n in range(200)}
    assert len(delays) > 190
    assert 0 <= min(delays) < 100_000 and 500_000 < max(delays) < 600_000
    wall.advance(300)
    schedules.enqueue_due()
    row = db.main().one("select * from occurrences")
    task = kit.row(row["task_id"])
    assert row["run_at_ms"] == row["due_at_ms"] + beat.jitter_ms(schedule, row["due_at_ms"])
    assert (task.state, task.due_at_ms) == (TaskState.SCHEDULED, row["run_at_ms"])


def test_start_and_end_bound_the_plan(wall):
    schedule = made.add(start="2025-12-01T12:10:00Z", end="2025-12-01T12:20:00Z", catch_up="all")
    assert schedule.next_at_ms == kit.NOON_MS + 10 * made.MINUTE_MS
    wall.advance(HOUR_S)
    schedules.enqueue_due()
    assert [minute for minute, _ in made.decisions(schedule)] == [10, 15, 20]
    assert made.stored(schedule).next_at_ms is None


def test_fixed_time_runs_once_on_both_nights_of_a_clock_change(wall):
    berlin = {"cron": "30 2 * * *", "zone": "Europe/Berlin"}
    for at, runs in (
        ("2026-03-28T23:00:00+01:00", ["2026-03-29T03:00:00+02:00"]),
        ("2026-10-24T23:00:00+02:00", ["2026-10-25T02:30:00+02:00"]),
    ):
        wall.now_s = datetime.fromisoformat(at).timestamp()
        schedule = made.add(name=at, **berlin)
        for _ in range(12 * 6):
            wall.advance(600)
            schedules.enqueue_due()
        found = db.main().read("select due_at_ms from occurrences where schedule_id = :id", id=schedule.id)
        assert [o["due_at_ms"] for o in found] == [
            datetime.fromisoformat(run).timestamp() * 1000 for run in runs
        ]


def test_a_clock_set_back_repeats_nothing(wall):
    schedule = made.add(cron="* * * * *")
    for step in (60, 60, -120, 60, 60, 60):
        wall.advance(step)
        schedules.enqueue_due()
    assert [minute for minute, _ in made.decisions(schedule)] == [1, 2, 3]


def test_a_clock_that_was_ahead_for_a_while_silences_nothing(wall):
    frequent = made.add(name="often", cron="*/5 * * * *", catch_up="skip")
    ending = made.add(name="ends", cron="*/5 * * * *", catch_up="skip", end="2025-12-02T00:00:00Z")
    schedules.enqueue_due()
    wall.advance(30 * 24 * HOUR_S)
    schedules.enqueue_due()
    wall.advance(-30 * 24 * HOUR_S + 240)
    assert schedules.enqueue_due() == 0
    assert made.stored(frequent).next_at_ms == kit.NOON_MS + 5 * made.MINUTE_MS
    wall.advance(60)
    assert schedules.enqueue_due() == 2
    assert made.decisions(ending) == [(5, "enqueued")]


def test_a_clock_set_back_while_no_worker_ran_silences_nothing(wall, monkeypatch):
    schedule = made.add(catch_up="skip")
    wall.advance(30 * 24 * HOUR_S)
    kit.register_worker("ahead", started_at_ms=clock.now_ms())
    schedules.enqueue_due()
    wall.advance(-30 * 24 * HOUR_S + 240)
    monkeypatch.setattr(beat, "_beaten_at_ms", 0)  # as in a process that has just started
    assert schedules.enqueue_due() == 0
    assert made.stored(schedule).next_at_ms == kit.NOON_MS + 5 * made.MINUTE_MS


def test_payload_that_no_longer_validates_is_refused_and_the_plan_goes_on(wall):
    schedule = made.add()
    with db.main().write() as tx:
        rows.update(tx, schedule.id, {"payload": '{"size": 1000}'})
    wall.advance(300)
    assert schedules.enqueue_due() == 0
    row = db.main().one("select * from occurrences")
    assert row["decision"] == "refused"
    assert "size" in row["reason"]
    assert made.stored(schedule).next_at_ms == kit.NOON_MS + 10 * made.MINUTE_MS


def test_owner_shut_out_is_refused(wall):
    schedule = made.add()
    with db.main().write() as tx:
        users.disable(tx, "ann")
    wall.advance(300)
    schedules.enqueue_due()
    assert made.decisions(schedule) == [(5, "refused")]


def test_owner_acts_with_todays_role(wall):
    schedule = made.add()
    with db.main().write() as tx:
        users.set_role(tx, "ann", kit.EVE.role)
    with pytest.raises(Forbidden):
        lifecycle.submit(beat.owner_of(db.main(), schedule), "job", {})


def test_a_zone_that_is_gone_stops_the_schedule(wall):
    schedule = made.add()
    with db.main().write() as tx:
        rows.update(tx, schedule.id, {"zone": "Mars/Olympus"})
    wall.advance(300)
    assert schedules.enqueue_due() == 0
    assert made.stored(schedule).enabled == 0
    assert made.history(schedule)[-1] == "stopped"


def test_an_unforeseen_error_of_one_schedule_holds_up_no_other(wall):
    def unforeseen(tx, actor, payload):
        tx.run("update users set disabled_at_ms = 1 where name = 'bob'")
        if payload.size == 13:
            raise KeyError("size")

    kit.add_type("fragile", on_submit=unforeseen)
    wrong = made.add(name="a", type="fragile")
    right = made.add(name="b")
    with db.main().write() as tx:
        rows.update(tx, wrong.id, {"payload": '{"size":13}'})
    wall.advance(300)
    assert schedules.enqueue_due() == 1
    assert made.occurrences(wrong) == [(5, "refused", 0, False)]
    assert made.occurrences(right) == [(5, "enqueued", 0, True)]
    assert db.main().value("select disabled_at_ms from users where name = 'bob'") is None


def test_a_long_outage_is_worked_off(wall, monkeypatch):
    monkeypatch.setattr(beat, "_COUNTED_AT_ONCE", 100)
    monkeypatch.setattr(beat, "_READ_AT_ONCE", 1)
    schedule = made.add(cron="* * * * *", catch_up="last")
    wall.advance(250 * 60 + 90)
    assert schedules.enqueue_due() == 1
    found = made.occurrences(schedule)
    assert [minute for minute, *_ in found] == list(range(1, 252))
    assert [o for o in found if o[1] == "enqueued"] == [(251, "enqueued", 0, True)]


def test_catch_up_of_all_is_bounded_over_a_long_outage_too(wall, monkeypatch):
    monkeypatch.setattr(beat, "_COUNTED_AT_ONCE", 100)
    schedule = made.add(cron="* * * * *", catch_up="all", catch_up_max=3)
    wall.advance(205 * 60 + 90)
    assert sum(schedules.enqueue_due() for _ in range(4)) == 4
    ran = [minute for minute, decision in made.decisions(schedule) if decision == "enqueued"]
    assert ran == [203, 204, 205, 206]  # three that were missed, and the one just due
    assert len(made.decisions(schedule)) == 206


def test_what_waits_for_a_paused_schedule_is_not_looked_at(wall, monkeypatch):
    monkeypatch.setattr(beat, "_READ_AT_ONCE", 1)
    first, second = (made.add(name=name, overlap="queue") for name in "ab")
    for _ in range(2):
        wall.advance(300)
        for _ in range(3):
            schedules.enqueue_due()
    held, other = sorted((first, second), key=lambda s: s.id)
    schedules.pause(kit.ANN, held.id)
    run_all()
    assert schedules.enqueue_due() == 1
    assert made.decisions(other)[-1] == (10, "enqueued")
    assert made.decisions(held)[-1] == (10, "waiting")


def test_the_clean_up_is_a_schedule_of_the_installation(wall):
    kit.add_type("cleanup", system=True)
    beat._ensure_builtin.cache_clear()
    schedules.enqueue_due()
    schedule = rows.get(db.main(), "cleanup")
    assert (schedule.owner, schedule.system) == ("system", 1)
    assert clock.iso(schedule.next_at_ms) == "2025-12-02T03:15:00.000Z"
    with pytest.raises(Forbidden):
        schedules.remove(kit.OPS, "cleanup")
    wall.advance(16 * HOUR_S)
    assert schedules.enqueue_due() == 1
    assert registry.get("cleanup").system
    beat._ensure_builtin.cache_clear()
    schedules.enqueue_due()  # a second process finds it there
    assert db.main().value("select count(*) from schedules") == 1
