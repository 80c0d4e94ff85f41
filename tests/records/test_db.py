import multiprocessing
import sqlite3
import threading

import pytest

from engine.records import db


def test_write_commits_at_the_end_of_the_block(data_dir):
    with db.main().write() as tx:
        tx.run("insert into queue_pauses (scope, paused_at_ms, paused_by) values (:s, 1, 'ann')", s="*")
    assert db.main().value("select paused_by from queue_pauses where scope = '*'") == "ann"


def test_write_rolls_everything_back_when_the_block_raises(data_dir):
    with pytest.raises(ZeroDivisionError), db.main().write() as tx:
        tx.run("insert into queue_pauses (scope, paused_at_ms, paused_by) values ('*', 1, 'ann')")
        raise ZeroDivisionError
    assert db.main().value("select count(*) from queue_pauses") == 0


def test_a_folder_that_came_with_the_clone_is_closed_to_others(data_dir):
    data_dir.mkdir(mode=0o755)
    db.main().read("select 1")
    assert (data_dir.stat().st_mode & 0o777) == 0o700


def test_write_within_a_write_is_an_error_not_a_deadlock(data_dir):
    with db.main().write() as tx:
        with pytest.raises(RuntimeError, match="within a write"), db.main().write():
            pass
        tx.run("insert into queue_pauses (scope, paused_at_ms, paused_by) values ('*', 1, 'ann')")
    assert db.main().value("select count(*) from queue_pauses") == 1


def test_thread_waits_for_another_no_longer_than_the_busy_timeout(data_dir, monkeypatch):
    monkeypatch.setenv("OFFLOAD_BUSY_TIMEOUT_S", "0.05")
    db.reset()
    refused = []

    def write():
        try:
            with db.main().write():
                pass
        except db.LockedOrFull as error:
            refused.append(str(error))

    with db.main().write():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(10)
    assert refused == ["database is locked"]
    write()
    assert len(refused) == 1


def test_files_are_private_and_durable(data_dir):
    db.main().read("select 1")
    assert (data_dir.stat().st_mode & 0o777) == 0o700
    for name in ("offload.db", "secret.key"):
        assert ((data_dir / name).stat().st_mode & 0o777) == 0o600
    assert db.main().value("pragma journal_mode") == "wal"
    assert db.main().value("pragma synchronous") == 2  # FULL, https://sqlite.org/pragma.html
    assert db.metrics().value("pragma synchronous") == 1


def test_a_migration_is_applied_once(data_dir):
    db.set_up(data_dir)
    db.set_up(data_dir)
    names = [r["name"] for r in db.main().read("select name from _sqlite_migrations")]
    assert len(names) == len(set(names)) > 0


def test_a_reader_sees_one_state_for_the_whole_snapshot(data_dir):
    with db.main().snapshot() as reader:
        assert reader.value("select count(*) from queue_pauses") == 0
        other = sqlite3.connect(data_dir / "offload.db", isolation_level=None)
        other.execute("insert into queue_pauses (scope, paused_at_ms, paused_by) values ('*', 1, 'ann')")
        other.close()
        assert reader.value("select count(*) from queue_pauses") == 0
    assert db.main().value("select count(*) from queue_pauses") == 1


@pytest.mark.parametrize("trial", range(30))
def test_three_processes_open_an_empty_folder_at_once(tmp_path, trial):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    outcomes = context.SimpleQueue()
    children = [
        context.Process(target=_open_first, args=(tmp_path / "data", barrier, outcomes)) for _ in range(3)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
    assert [outcomes.get() for _ in children] == ["ok"] * 3


def _open_first(folder, barrier, outcomes):
    barrier.wait(10)
    try:
        db.set_up(folder)
        outcomes.put("ok")
    except Exception as error:
        outcomes.put(repr(error))


def test_a_child_forked_during_the_set_up_does_not_keep_others_out(tmp_path, monkeypatch):
    """The lock belongs to the open file, which a child has too (flock(2)); it may live for days."""
    fork = multiprocessing.get_context("fork")
    forked = []

    def migrate(path, sets):
        if not forked:
            forked.append(fork.Process(target=threading.Event().wait, args=(30,)))
            forked[0].start()

    with monkeypatch.context() as patch:
        patch.setattr(db, "_migrate", migrate)
        db.set_up(tmp_path / "data")
    again = threading.Thread(target=db.set_up, args=(tmp_path / "data",))
    again.start()
    again.join(10)
    forked[0].terminate()
    assert not again.is_alive()
    again.join()
    forked[0].join()


def test_connection_of_an_ended_thread_serves_the_next(data_dir, monkeypatch):
    opened = []
    real = db._open
    monkeypatch.setattr(db, "_open", lambda *args: opened.append(1) or real(*args))
    db.main()
    for _ in range(5):
        thread = threading.Thread(target=lambda: db.main().read("select 1"))
        thread.start()
        thread.join()
    assert len(opened) == 1


def test_threads_at_work_together_have_connections_of_their_own(data_dir):
    seen, barrier = [], threading.Barrier(3)

    def look():
        with db.main().snapshot() as reader:
            barrier.wait(10)
            seen.append(id(reader._connection))
            barrier.wait(10)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 3
