"""Expected against actual, and the lists of schedules."""

import pytest

from engine import lifecycle
from engine.errors import InvalidInput
from engine.lifecycle import Ending
from engine.queries import schedules as reads
from engine.services import schedules
from engine.words import Outcome
from tests import engine_kit as kit
from tests import schedule_kit as made


@pytest.fixture(autouse=True)
def house(data_dir, no_types, wall):
    kit.add_type()
    made.add_people()


def beat(wall, seconds=300):
    wall.advance(seconds)
    schedules.enqueue_due()


def run(ending=kit.DONE):
    lifecycle.settle(kit.claim(), ending)


def statuses(schedule):
    return [o.status for o in reads.occurrences(schedule.id)][::-1]


def test_on_time_late_failed_and_cancelled(wall):
    schedule = made.add()
    beat(wall)
    wall.advance(60)
    run()  # started 60 s after its time: not late yet
    wall.advance(-60)
    beat(wall)
    wall.advance(61)
    run()
    wall.advance(-61)
    beat(wall)
    run(kit.FATAL)
    beat(wall)
    task_id = reads.occurrences(schedule.id)[0].task_id
    lifecycle.cancel(kit.ANN, task_id)
    beat(wall)
    assert statuses(schedule) == ["on_time", "late", "failed", "cancelled", "waiting"]
    wall.advance(61)
    assert statuses(schedule)[-1] == "late"


def test_skipped_caught_up_and_overlapped(wall):
    schedule = made.add(overlap="skip", catch_up="last")
    beat(wall, 12 * 60)
    wall.advance(3 * 60 - 1)
    beat(wall, 1)
    assert statuses(schedule) == ["skipped", "caught_up", "overlapped"]
    documents = [o.document() for o in reads.occurrences(schedule.id)]
    assert documents[0]["reason"] == "the task before had not ended"
    assert documents[2]["due_at"] == "2025-12-01T12:05:00.000Z"


def test_a_refused_occurrence_has_failed(wall):
    from engine.records import db, users

    schedule = made.add()
    with db.main().write() as tx:
        users.disable(tx, "ann")
    beat(wall)
    assert statuses(schedule) == ["failed"]


def test_stats_count_durations_and_successes(wall):
    schedule = made.add()
    other = made.add(actor=kit.BOB)
    for duration_ms in (100, 300, 200):
        beat(wall)
        for _ in range(2):
            run(Ending(Outcome.SUCCEEDED, duration_ms=duration_ms))
    beat(wall)
    run(kit.FATAL)
    schedules.run_now(kit.ANN, schedule.id)
    (found,) = reads.stats(kit.ANN, kit.NOON_MS)
    document = found.document()
    assert (document["expected"], document["n_manual"]) == (4, 1)
    assert document["by_status"]["on_time"] + document["by_status"]["failed"] >= 3
    assert document["duration_ms"] == {"n": 3, "p50": 200, "p95": 300, "max": 300}
    assert {s.schedule_id for s in reads.stats(kit.OPS, kit.NOON_MS)} == {schedule.id, other.id}
    assert [s.schedule_id for s in reads.stats(kit.OPS, kit.NOON_MS, other.id)] == [other.id]
    later = reads.stats(kit.ANN, kit.NOON_MS + 3_600_000)[0]
    assert (later.expected, later.success_rate) == (0, None)


def test_success_rate_leaves_out_what_is_not_over(wall):
    made.add()
    beat(wall)
    run()
    beat(wall)
    run(kit.FATAL)
    beat(wall)
    (found,) = reads.stats(kit.ANN, kit.NOON_MS)
    assert found.by_status == {"on_time": 1, "failed": 1, "waiting": 1}
    assert found.success_rate == 0.5


def test_success_rate_leaves_out_what_is_running_or_overdue(wall):
    made.add()
    beat(wall)
    assert kit.claim() is not None
    beat(wall)
    wall.advance(3_600)
    (found,) = reads.stats(kit.ANN, kit.NOON_MS)
    assert found.by_status == {"on_time": 1, "late": 1}
    assert found.success_rate is None


def test_list_shows_own_or_all_with_strip(wall):
    schedule = made.add(name="b")
    made.add(name="a_%", enabled=False)
    made.add(actor=kit.BOB, name="c")
    beat(wall)
    page = reads.page(kit.ANN)
    assert [item.schedule.name for item in page.items] == ["a_%", "b"]
    assert page.items[1].document()["last_statuses"] == ["waiting"]
    assert page.items[1].document()["last_run"]["schedule_id"] == schedule.id
    assert [item.schedule.name for item in reads.page(kit.OPS).items] == ["a_%", "b", "c"]
    assert [item.schedule.name for item in reads.page(kit.OPS, enabled=True).items] == ["b", "c"]
    assert [item.schedule.name for item in reads.page(kit.OPS, search="_%").items] == ["a_%"]
    assert reads.page(kit.EVE).items == []
    assert reads.counts(kit.ANN) == {"all": 2, "enabled": 1, "paused": 1}


def test_list_goes_on_where_it_ended():
    for name in ("a", "b", "c"):
        made.add(name=name)
    first = reads.page(kit.ANN, limit=2)
    rest = reads.page(kit.ANN, limit=2, cursor=first.next)
    assert [i.schedule.name for i in first.items + rest.items] == ["a", "b", "c"]
    assert rest.next is None
    with pytest.raises(InvalidInput):
        reads.page(kit.ANN, cursor="nonsense")


def test_history_and_visibility():
    schedule = made.add()
    schedules.pause(kit.OPS, schedule.id)
    assert [(h["actor"], h["action"]) for h in reads.history(schedule.id)] == [
        ("olga", "paused"),
        ("ann", "created"),
    ]
    assert reads.visible(kit.BOB, schedule.id) is None
    assert reads.visible(kit.ANN, schedule.id).name == "nightly"


def test_percentile_is_nearest_rank():
    assert reads.percentile([], 0.5) is None
    assert reads.percentile([1, 2, 3, 4], 0.5) == 2
    assert reads.percentile([1, 2, 3, 4], 0.95) == 4
