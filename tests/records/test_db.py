import multiprocessing
import sqlite3
import threading
from contextlib import closing

import pytest

from engine import settings
from engine.errors import Unavailable
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


PAUSE = "insert into queue_pauses (scope, paused_at_ms, paused_by) values (:s, 1, 'ann')"
DEPLOY = "insert into deploys (at_ms, service, version, note) values (:at, 'shop', '1', '')"


def deploys(reader):
    return [row["at_ms"] for row in reader.read("select at_ms from deploys order by at_ms")]


def test_a_deleted_metrics_file_is_made_anew_at_the_next_use(data_dir):
    with db.metrics().write() as tx:
        tx.run(DEPLOY, at=1)
    before = db.metrics()
    (data_dir / "metrics.db").unlink()  # its log and index stay, as whoever deletes it may not know of them
    assert deploys(db.metrics()) == []
    with db.metrics().write() as tx:
        tx.run(DEPLOY, at=2)
    assert deploys(db.metrics()) == [2]
    with pytest.raises(db.Gone), before.write():
        pass


def test_a_replaced_metrics_file_is_read_at_the_next_use(data_dir, tmp_path):
    with db.metrics().write() as tx:
        tx.run(DEPLOY, at=1)
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        backup.executescript("create table note (text); insert into note values ('restored')")
    for rest in ("-wal", "-shm"):
        (data_dir / f"metrics.db{rest}").unlink()
    (tmp_path / "backup.db").replace(data_dir / "metrics.db")
    assert db.metrics().value("select text from note") == "restored"
    assert deploys(db.metrics()) == []


def test_the_cache_may_be_deleted_at_any_time(data_dir):
    assert db.cache().value("select count(*) from responses") == 0
    for path in data_dir.glob("cache.db*"):
        path.unlink()
    assert db.cache().value("select count(*) from responses") == 0


def test_a_data_folder_that_is_gone_is_told(data_dir, tmp_path):
    db.metrics()
    data_dir.rename(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="Cannot use the data folder"):
        db.metrics()
    (tmp_path / "elsewhere").rename(data_dir)
    assert deploys(db.metrics()) == []


@pytest.mark.parametrize("known", [True, False])
def test_a_process_that_still_has_the_deleted_file_open_does_no_harm_to_the_new_one(data_dir, known):
    """When SQLite closes a file's last connection it deletes the log beside it: here, of another file."""
    if known:
        db.metrics().read("select 1")
    fork = multiprocessing.get_context("fork")
    opened, made, ended = fork.Event(), fork.Event(), fork.Event()
    other = fork.Process(target=_notice_late, args=(opened, made, ended))
    other.start()
    assert opened.wait(60)
    (data_dir / "metrics.db").unlink()
    with db.metrics().write() as tx:
        tx.run(DEPLOY, at=3)
    made.set()
    assert ended.wait(60)
    other.join(60)
    with db.metrics().write() as tx:
        tx.run(DEPLOY, at=5)
    with closing(sqlite3.connect(data_dir / "metrics.db")) as fresh:
        assert fresh.execute("select at_ms from deploys order by at_ms").fetchall() == [(3,), (4,), (5,)]
        assert fresh.execute("pragma integrity_check").fetchone() == ("ok",)


def _notice_late(opened, made, ended):
    old = db.metrics()
    with old.write() as tx:
        tx.run(DEPLOY, at=1)
    assert deploys(old) == [1]
    opened.set()
    made.wait(60)
    assert deploys(old) == [1]
    with db.metrics().write() as tx:
        tx.run(DEPLOY, at=4)
    old._writer.close()
    old.close()
    ended.set()


def test_files_that_were_deleted_before_their_first_use_are_noticed_too(data_dir):
    """A process that has set everything up may open a file minutes later."""
    db.metrics()
    (data_dir / "cache.db").unlink()
    (data_dir / "offload.db").rename(data_dir / "away.db")
    assert db.cache().value("select count(*) from responses") == 0
    with pytest.raises(db.Gone), db.main().write():
        pass
    assert not (data_dir / "offload.db").exists()
    (data_dir / "away.db").rename(data_dir / "offload.db")
    assert db.main().value("select count(*) from queue_pauses") == 0


def test_a_file_that_is_deleted_while_it_is_opened_is_not_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFLOAD_DATA_DIR", str(tmp_path / "what? 100%#"))
    db.reset()
    data_dir = settings.get().data_dir
    assert db.main().value("select count(*) from queue_pauses") == 0
    db.main().close()
    db.main()._idle.clear()
    (data_dir / "offload.db").unlink()
    monkeypatch.setattr(db.Database, "require", lambda self: None)  # looked a moment too early
    with pytest.raises(db.LockedOrFull, match="unable to open"):
        db.main().read("select 1")
    assert not (data_dir / "offload.db").exists()
    db.reset()


@pytest.mark.parametrize("instead", ["nothing", "another"])
def test_a_deleted_main_file_takes_nothing_and_is_never_made_anew(data_dir, instead):
    """Tasks accepted into a file without a name would be lost; an empty queue would look like good news."""
    with db.main().write() as tx:
        tx.run(PAUSE, s="a")
    away = data_dir / "away.db"
    (data_dir / "offload.db").rename(away)
    if instead == "another":
        (data_dir / "offload.db").write_bytes(away.read_bytes())
    with pytest.raises(db.Gone, match=r"offload\.db was deleted or replaced"), db.main().write() as tx:
        tx.run(PAUSE, s="b")
    with pytest.raises(db.Gone):
        db.main().probe()
    refused = []

    def read_in_a_new_thread():
        try:
            db.main().read("select 1")
        except db.Gone:
            refused.append(True)

    thread = threading.Thread(target=read_in_a_new_thread)
    thread.start()
    thread.join()
    assert refused == [True]
    assert (data_dir / "offload.db").exists() == (instead == "another")
    away.replace(data_dir / "offload.db")
    with db.main().write() as tx:
        tx.run(PAUSE, s="b")
    assert db.main().value("select count(*) from queue_pauses") == 2
