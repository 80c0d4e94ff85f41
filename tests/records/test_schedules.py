"""Rows of schedules and occurrences."""

import pytest

from engine.records import db, schedules

ROW = {
    "id": "s1",
    "name": "nightly",
    "cron": "0 2 * * *",
    "zone": "UTC",
    "type": "probe",
    "payload": "{}",
    "owner": "anna",
    "enabled": 1,
    "priority": None,
    "catch_up": "last",
    "catch_up_max": 10,
    "overlap": "allow",
    "jitter_s": 0,
    "starts_at_ms": None,
    "ends_at_ms": None,
    "note": "",
    "system": 0,
    "next_at_ms": 1_000,
    "created_at_ms": 1,
    "changed_at_ms": 1,
    "removed_at_ms": None,
}
OCCURRENCE = {
    "schedule_id": "s1",
    "due_at_ms": 1_000,
    "run_at_ms": 1_000,
    "decided_at_ms": 1_001,
    "decision": "enqueued",
    "caught_up": 0,
    "reason": "",
}


@pytest.fixture
def main(data_dir):
    with db.main().write() as tx:
        schedules.insert_many(tx, [ROW, {**ROW, "id": "s2", "name": "later", "next_at_ms": 5_000}])
    return db.main()


def test_due_ones_are_enabled_kept_and_have_come(main):
    assert [s.id for s in schedules.due(main, 4_999, 10)] == ["s1"]
    assert [s.id for s in schedules.due(main, 5_000, 10)] == ["s1", "s2"]
    with main.write() as tx:
        schedules.update(tx, "s1", {"enabled": 0})
        schedules.update(tx, "s2", {"removed_at_ms": 1})
    assert schedules.due(main, 5_000, 10) == []


def test_only_one_of_two_beats_advances_a_plan(main):
    seen = schedules.get(main, "s1")
    with main.write() as tx:
        assert schedules.advance(tx, seen, 2_000)
        assert not schedules.advance(tx, seen, 2_000)


def test_a_plan_changed_meanwhile_is_not_advanced(main):
    seen = schedules.get(main, "s1")
    with main.write() as tx:
        schedules.update(tx, "s1", {"changed_at_ms": 2})
        assert not schedules.advance(tx, seen, 2_000)


def test_an_occurrence_is_recorded_once(main):
    with main.write() as tx:
        assert schedules.add_occurrence(tx, OCCURRENCE)
        assert not schedules.add_occurrence(tx, OCCURRENCE)


def test_a_name_is_taken_until_its_schedule_is_removed(main):
    with pytest.raises(db.Duplicate), main.write() as tx:
        schedules.insert_many(tx, [{**ROW, "id": "s3"}])
    with main.write() as tx:
        schedules.update(tx, "s1", {"removed_at_ms": 9})
        schedules.insert_many(tx, [{**ROW, "id": "s3"}])
    assert schedules.get(main, "s1") is None
    assert schedules.names_in_use(main, "anna", ["nightly", "other"]) == {"nightly"}


def test_owner_and_id_are_not_changed(main):
    with pytest.raises(ValueError, match="owner"), main.write() as tx:
        schedules.update(tx, "s1", {"owner": "bob"})


def test_old_occurrences_are_removed_but_not_waiting_ones(main):
    with main.write() as tx:
        schedules.add_occurrences(
            tx,
            [
                OCCURRENCE,
                {**OCCURRENCE, "due_at_ms": 2_000, "decision": "waiting"},
                {**OCCURRENCE, "due_at_ms": 3_000},
                {**OCCURRENCE, "due_at_ms": 9_000},
            ],
        )
        assert schedules.remove_occurrences_before(tx, 5_000, limit=10) == 2
        assert schedules.n_waiting(tx, "s1") == 1
        assert schedules.drop_waiting(tx, "s1", "removed") == 1
