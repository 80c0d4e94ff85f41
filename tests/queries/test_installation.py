import sqlite3

from engine import clock, lifecycle, tasks
from engine.queries import installation
from engine.records import db, schema
from engine.words import SYSTEM


def state():
    return installation.database_state(db.main(), schema.MAIN)


def test_a_fresh_database_is_sound(data_dir):
    found = state()
    assert (found.faults, found.pending, found.unknown, found.journal_mode) == ([], [], [], "wal")
    assert found.sqlite_version == sqlite3.sqlite_version


def test_migrations_of_a_newer_version_are_unknown(data_dir):
    with db.main().write() as tx:
        tx.run("insert into _sqlite_migrations values (9999, 'tasks', 'from_the_future', '2030-01-01')")
    assert state().unknown == ["tasks.from_the_future"]


def test_a_migration_that_was_not_applied_is_pending(data_dir):
    with db.main().write() as tx:
        tx.run("delete from _sqlite_migrations where name = 'create_tasks'")
    assert state().pending == ["tasks.create_tasks"]


def test_oldest_due_counts_from_the_moment_work_could_begin(data_dir, monkeypatch):
    tasks.load()
    assert installation.oldest_due_ms(clock.now_ms()) is None
    monkeypatch.setattr(clock, "_wall", lambda: 1_000.0)
    lifecycle.submit(SYSTEM, "probe", {}, run_at_ms=1_005_000)
    assert installation.oldest_due_ms(1_004_999) is None
    assert installation.oldest_due_ms(1_005_000) == 1_005_000
    lifecycle.submit(SYSTEM, "probe", {})
    assert installation.oldest_due_ms(1_005_000) == 1_000_000
    assert installation.latest_written_ms() == 1_000_000
