import os

import pytest

from engine import clock, lifecycle, registry, tasks
from engine.errors import Forbidden
from engine.lifecycle import Ending
from engine.records import artifacts, db, schedules
from engine.records import tasks as task_rows
from engine.records.artifacts import Artifact
from engine.services import retention
from engine.words import Actor, Outcome, Role

OPS = Actor("olga", Role.OPS)
DAY_S = 86_400


@pytest.fixture(autouse=True)
def house(data_dir):
    tasks.load()


def ended_task():
    lifecycle.submit(OPS, "probe", {})
    task = lifecycle.claim("w", registry.all_types())
    lifecycle.settle(task, Ending(Outcome.SUCCEEDED))
    return task


def artifact_of(task, data_dir, expires_at_ms):
    path = data_dir / "artifacts" / f"{task.id}.pdf"
    path.write_bytes(b"x" * 1000)
    row = Artifact(
        task.id, task.id, "pdf", "olga", "a.pdf", "application/pdf", 1000, "", {}, 0, expires_at_ms
    )
    with db.main().write() as tx:
        artifacts.put(tx, row)
    return path


def days_later(monkeypatch, days):
    now = clock._wall()
    monkeypatch.setattr(clock, "_wall", lambda: now + days * DAY_S)


def test_ended_task_past_its_keep_goes_with_its_history(monkeypatch):
    task = ended_task()
    days_later(monkeypatch, 31)
    assert retention.clean_up().rows["tasks"] == 1
    assert task_rows.get(db.main(), task.id) is None
    for table in ("attempts", "task_events"):
        assert db.main().value(f"select count(*) from {table}") == 0


def test_waiting_and_recent_tasks_stay(monkeypatch):
    lifecycle.submit(OPS, "probe", {})
    days_later(monkeypatch, 31)
    lifecycle.submit(OPS, "probe", {})
    assert retention.clean_up().rows["tasks"] == 0


def test_expired_file_goes_and_a_fresh_one_stays(data_dir, monkeypatch):
    old = artifact_of(ended_task(), data_dir, clock.now_ms() - 1)
    fresh = artifact_of(ended_task(), data_dir, clock.now_ms() + 60_000)
    report = retention.clean_up()
    assert (report.rows["artifacts"], report.n_files, report.file_bytes) == (1, 1, 1000)
    assert not old.exists()
    assert fresh.exists()


def test_file_without_a_row_goes_once_it_is_an_hour_old(data_dir):
    db.main().read("select 1")
    old, young = data_dir / "artifacts" / "a.pdf.part", data_dir / "artifacts" / "b.pdf"
    for path in (old, young):
        path.write_bytes(b"xy")
    an_hour_ago = clock.now_ms() / 1000 - 3_601
    os.utime(old, (an_hour_ago, an_hour_ago))
    assert retention.clean_up().file_bytes == 2
    assert (old.exists(), young.exists()) == (False, True)


def test_dry_run_counts_and_removes_nothing(data_dir, monkeypatch):
    task = ended_task()
    path = artifact_of(task, data_dir, clock.now_ms() - 1)
    days_later(monkeypatch, 31)
    report = retention.clean_up(dry_run=True)
    assert (report.rows["tasks"], report.rows["artifacts"]) == (1, 1)
    assert path.exists()
    assert task_rows.get(db.main(), task.id) is not None


def test_only_ops_may_ask_for_it():
    with pytest.raises(Forbidden):
        retention.request(Actor("sam", Role.STAFF))
    assert retention.request(OPS, dry_run=True).type == "cleanup"


def test_old_occurrences_of_schedules_go(data_dir):
    row = dict.fromkeys(schedules.COLUMNS)
    row |= {"id": "s1", "name": "n", "cron": "* * * * *", "zone": "UTC", "type": "probe", "payload": "{}"}
    row |= {"owner": "ann", "enabled": 0, "catch_up": "last", "catch_up_max": 1, "overlap": "allow"}
    row |= {"jitter_s": 0, "note": "", "system": 0, "created_at_ms": 1, "changed_at_ms": 1}
    one = {"schedule_id": "s1", "run_at_ms": 1, "decided_at_ms": 1, "caught_up": 0, "reason": ""}
    with db.main().write() as tx:
        schedules.insert_many(tx, [row])
        schedules.add_occurrence(tx, {**one, "due_at_ms": 1, "decision": "enqueued"})
        schedules.add_occurrence(tx, {**one, "due_at_ms": 2, "decision": "waiting"})
        schedules.add_occurrence(tx, {**one, "due_at_ms": clock.now_ms(), "decision": "enqueued"})
    assert retention.clean_up(dry_run=True).rows["occurrences"] == 1
    assert retention.clean_up().rows["occurrences"] == 1
    assert db.main().value("select count(*) from occurrences") == 2
