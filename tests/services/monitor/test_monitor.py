import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from contextlib import suppress

import pytest

from engine.lib import trace
from engine.lib.histogram import Histogram
from engine.records import db, recorders
from engine.services import monitor
from engine.services.monitor import Unit, writer
from engine.services.monitor.beat import close_dead_recorders
from engine.services.monitor.buffer import Buffer
from engine.words import Actor, Role

fork = multiprocessing.get_context("fork")


def record(n=1, name="/orders", duration_us=1_000):
    for _ in range(n):
        unit = Unit("shop", "http", name)
        unit.duration_us, unit.status = duration_us, 200
        monitor.record(unit)


def n_events():
    return db.metrics().value("select count(*) from events")


def rolled():
    rows = db.metrics().read(
        """select histogram from rollups join series on series.id = series_id
           where series.name = '*' and kind = 'http' and tier_ms = 60000"""
    )
    total = Histogram()
    for row in rows:
        total.merge(Histogram.from_bytes(row["histogram"]))
    return total


def test_what_is_recorded_is_stored_by_a_flush(data_dir):
    record(3, duration_us=5_000)
    monitor.flush()
    assert n_events() == 3
    assert rolled() == Histogram.of([5_000] * 3)
    (recorder,) = db.metrics().read("select * from recorders")
    assert (recorder["n_stored"], recorder["n_dropped"], recorder["ended_at_ms"]) == (3, 0, None)
    assert db.metrics().value("select sum(n) from recorder_costs") == 3


def test_the_writer_thread_stores_without_being_asked(data_dir):
    record(500)
    thread = monitor.start()._thread
    for _ in range(100):
        if rolled().count == 500:
            break
        thread.join(0.05)
    assert rolled().count == 500


def test_measure_records_work_with_its_queries_and_its_person(data_dir):
    with monitor.measure(
        "task", "report", correlation_id="c1", actor=Actor("ann", Role.STAFF), wait_us=7_000
    ) as unit:
        db.main().read("select 1 as one")
        unit.outcome = "succeeded"
    monitor.flush()
    (event,) = db.metrics().read("select * from events")
    assert (event["n_queries"], event["wait_us"], event["correlation_id"]) == (1, 7_000, "c1")
    assert event["role"] == "staff"
    assert event["user_hash"] not in (None, "ann")
    assert db.metrics().value("select name from series where kind = 'wait' and name <> '*'") == "report"


def test_measure_records_a_failure_and_lets_it_pass(data_dir):
    with pytest.raises(ZeroDivisionError), monitor.measure("run", "Tasks"):
        raise ZeroDivisionError
    monitor.flush()
    (event,) = db.metrics().read("select detail, keep_reason, band from events")
    assert tuple(event) == ('{"error":"ZeroDivisionError"}', "failed", 2)


def test_an_outbound_call_is_a_unit_of_its_own_and_part_of_the_work_around_it(data_dir):
    with monitor.measure("task", "api_call", correlation_id="c1"), trace.operation("call", "GET api.example"):
        pass
    monitor.flush()
    kinds = db.metrics().read("select kind from series where name <> '*' and kind <> 'wait' order by kind")
    assert [row["kind"] for row in kinds] == ["call", "task"]


def test_a_full_buffer_drops_and_counts():
    buffer = Buffer(max_units=3)
    for number in range(5):
        buffer.put(Unit("shop", "http", f"/{number}"))
    assert (len(buffer), buffer.n_dropped) == (3, 2)
    assert [unit.name for unit in buffer.take(10)] == ["/0", "/1", "/2"]


def test_a_locked_database_loses_nothing(data_dir, monkeypatch):
    monkeypatch.setenv("OFFLOAD_BUSY_TIMEOUT_S", "0.05")
    db.reset()
    db.metrics().read("select 1")
    record(2)
    blocker = sqlite3.connect(data_dir / "metrics.db", isolation_level=None)
    blocker.execute("begin immediate")
    with pytest.raises(db.LockedOrFull):
        monitor.flush()
    blocker.execute("rollback")
    blocker.close()
    record(1)
    monitor.flush()
    assert (n_events(), rolled().count) == (3, 3)


def test_what_cannot_be_folded_is_counted_as_dropped(data_dir):
    record(1)
    record(1, duration_us=None)
    monitor.flush()
    (recorder,) = db.metrics().read("select n_stored, n_dropped from recorders")
    assert tuple(recorder) == (1, 1)
    assert rolled().count == 1


def test_a_text_is_stored_with_the_batch_that_is_tried_again(data_dir, monkeypatch):
    """A full disk undoes a batch after some of it was written; the second try writes all of it."""
    with monitor.measure("task", "report"):
        db.main().read("select 7 as seven")
    with monkeypatch.context() as patch, pytest.raises(db.LockedOrFull):
        patch.setattr(recorders, "report", full_disk)
        monitor.flush()
    monitor.flush()
    assert "select ? as seven" in {r["text"] for r in db.metrics().read("select text from sql_texts")}


def full_disk(*args, **values):
    raise db.LockedOrFull("database or disk is full")


def test_stopping_stores_the_rest_and_leaves_no_trace_of_a_death(data_dir):
    record(4)
    monitor.stop()
    assert n_events() == 4
    assert db.metrics().value("select count(*) from recorders where ended_at_ms is null") == 0
    assert list((data_dir / "recorders").iterdir()) == []


def test_a_kill_loses_only_what_was_not_flushed_and_says_how_much(data_dir):
    db.metrics().read("select 1")
    child = fork.Process(target=_record_and_die)
    child.start()
    child.join(20)
    assert child.exitcode == -signal.SIGKILL
    assert n_events() == 5
    assert close_dead_recorders(9_000) == 3
    assert close_dead_recorders(9_500) == 0
    assert db.metrics().value("select sum(n_lost) from recorders") == 3


def _record_and_die():
    record(5)
    monitor.flush()
    monitor.start()._lock.acquire()  # the writer is busy elsewhere
    record(3)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_death_before_the_database_could_be_written_is_counted(data_dir):
    db.metrics().read("select 1")
    blocker = sqlite3.connect(data_dir / "metrics.db", isolation_level=None)
    blocker.execute("begin immediate")
    child = fork.Process(target=_record_and_die_locked_out)
    child.start()
    child.join(20)
    blocker.execute("rollback")
    blocker.close()
    assert close_dead_recorders(9_000) == 4
    assert close_dead_recorders(9_500) == 0


def _record_and_die_locked_out():
    record(4)
    recorder = monitor.start()
    while recorder._ledger is None:
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_database_that_is_none_is_waited_for(data_dir, monkeypatch):
    """Whoever repairs the data folder finds a recorder that goes on, and no exception in the work."""
    monkeypatch.setattr(writer, "FLUSH_S", 0.01)
    data_dir.mkdir()
    (data_dir / "metrics.db").write_bytes(b"no database at all, " * 100)
    record(3)
    recorder = monitor.start()
    recorder._thread.join(0.1)
    assert recorder._thread.is_alive()
    (data_dir / "metrics.db").unlink()
    recorder.stop()
    assert (n_events(), rolled().count) == (3, 3)


def test_a_data_folder_that_is_away_is_waited_for(data_dir, monkeypatch):
    """It is complained of once a minute, as whatever may pass by itself, and not with each flush."""
    given_up = []
    monkeypatch.setattr(writer.Recorder, "_give_up", given_up.append)
    monkeypatch.setattr(writer, "FLUSH_S", 0.01)
    data_dir.write_text("a file stands in its place")
    record(3)
    recorder = monitor.start()
    recorder._thread.join(0.1)
    data_dir.unlink()
    recorder.stop()
    assert given_up == []
    assert (n_events(), rolled().count) == (3, 3)


def test_a_damaged_database_keeps_no_process_from_ending(data_dir):
    data_dir.mkdir()
    (data_dir / "metrics.db").write_bytes(b"no database at all, " * 100)
    record(3)
    monitor.stop()
    record(1)


def test_a_database_that_stays_locked_keeps_no_process_from_ending(data_dir, monkeypatch):
    monkeypatch.setattr(writer, "STOP_S", 0.05)
    monkeypatch.setenv("OFFLOAD_BUSY_TIMEOUT_S", "1")
    db.reset()
    db.metrics().read("select 1")
    blocker = sqlite3.connect(data_dir / "metrics.db", isolation_level=None)
    blocker.execute("begin immediate")
    record(2)
    recorder = monitor.start()
    monitor.stop()
    assert recorder._thread.is_alive()  # `stop` came back first
    blocker.execute("rollback")
    blocker.close()
    recorder._thread.join(10)
    assert n_events() == 2


def test_after_the_file_was_deleted_the_next_flush_writes_to_a_new_one(data_dir, monkeypatch):
    lost = []

    def say(event, **values):
        if event == "monitor_units_lost":
            lost.append(values["n"])

    monkeypatch.setattr(writer._log, "warning", say)
    for n in (2, 3):
        record(n)
        monitor.flush()
        (data_dir / "metrics.db").unlink()
    record(4)
    monitor.flush()
    assert (n_events(), rolled().count) == (4, 4)
    assert lost == [2, 3]
    assert db.metrics().value("select count(*) from recorders") == 1


def test_a_batch_written_while_the_file_is_deleted_is_written_anew(data_dir, monkeypatch):
    record(2)
    monitor.flush()
    real = writer.Recorder._report

    def deleted_just_then(recorder, *arguments):
        monkeypatch.setattr(writer.Recorder, "_report", real)
        (data_dir / "metrics.db").unlink()
        real(recorder, *arguments)

    monkeypatch.setattr(writer.Recorder, "_report", deleted_just_then)
    record(3)
    with suppress(db.Gone):  # unless the writer thread came first
        monitor.flush()
    monitor.flush()
    assert (n_events(), rolled().count) == (3, 3)


def test_want_of_a_thread_is_not_the_trouble_of_the_work(data_dir, monkeypatch):
    def none_left(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", none_left)
        record(1)
        with monitor.measure("http", "/page") as unit:
            unit.detail = {"worked": True}
    record(1)
    monitor.flush()
    assert unit.detail == {"worked": True}
    assert rolled().count == 1


def test_a_unit_that_ends_after_the_recorder_hurts_nobody(data_dir):
    record(1)
    late = monitor.start()
    monitor.stop()
    late.put(Unit("shop", "http", "/late"))


def test_a_living_recorder_is_not_closed(data_dir):
    record()
    monitor.flush()
    assert close_dead_recorders(9_000) == 0
    assert db.metrics().value("select count(*) from recorders where ended_at_ms is null") == 1


def test_a_forked_child_records_for_itself(data_dir):
    record(1)
    child = fork.Process(target=_record_in_child)
    child.start()
    child.join(20)
    assert child.exitcode == 0
    monitor.flush()
    assert n_events() == 3
    assert db.metrics().value("select count(*) from recorders") == 2


def _record_in_child():
    record(2)
    monitor.stop()


def test_a_fork_finds_the_writer_at_rest(data_dir, monkeypatch):
    """SQLite's locks within a process are copied by a fork, and never released in the child."""
    record(1)
    recorder = monitor.start()
    recorder.hold()
    assert recorder._lock.locked()
    other = threading.Thread(target=recorder.release)
    other.start()
    other.join()
    assert recorder._lock.locked()
    monkeypatch.setattr(writer, "HOLD_S", 0.01)
    child = fork.Process(target=_record_in_child)  # held already: it does not wait for ever
    child.start()
    child.join(20)
    assert (child.exitcode, recorder._lock.locked()) == (0, False)
    monitor.flush()
    assert n_events() == 3


def test_a_recorder_stopped_while_the_process_forks_writes_what_it_has(data_dir):
    record(2)
    recorder = monitor.start()
    monitor._before_fork()
    stopping = threading.Thread(target=monitor.stop)
    stopping.start()
    while monitor._recorder is not None:
        time.sleep(0.001)
    monitor._after_fork_in_parent()
    stopping.join()
    assert (recorder._thread.is_alive(), n_events()) == (False, 2)


def test_a_forked_child_of_a_named_process_records_its_first_call(data_dir):
    db.metrics().read("select 1")
    monitor.name_process("shop")
    record(1)
    child = fork.Process(target=_call_in_child)
    child.start()
    child.join(20)
    assert child.exitcode == 0
    assert db.metrics().value("select count(*) from series where service = 'shop' and kind = 'call'") == 2


def _call_in_child():
    with trace.operation("call", "GET supplier"):
        pass
    monitor.stop()


def test_four_processes_write_and_roll_up_at_once(data_dir):
    db.metrics().read("select 1")
    children = [fork.Process(target=_record_a_lot, args=(number,)) for number in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    assert n_events() == 4 * 300
    assert rolled() == Histogram.of([1_000 * (n + 1) for n in range(4) for _ in range(300)])
    names = [row["name"] for row in db.metrics().read("select name from series where kind = 'http'")]
    assert sorted(names) == ["*", "/r0", "/r1", "/r2", "/r3"]
    assert db.metrics().value("select sum(n_lost) + sum(n_dropped) from recorders") == 0


def _record_a_lot(number):
    for _ in range(6):
        record(50, name=f"/r{number}", duration_us=1_000 * (number + 1))
        monitor.flush()
        monitor.beat()
    monitor.stop()


def test_detail_steps_down_over_budget_and_up_after_a_calm_minute(data_dir):
    account = monitor.start()._account
    assert account.next_level(2, share=3.0, budget=2.0) == 1
    assert account.next_level(1, share=3.0, budget=2.0) == 0
    assert account.next_level(0, share=3.0, budget=2.0) == 0
    levels = [account.next_level(0, share=0.5, budget=2.0) for _ in range(6)]
    assert levels == [0, 0, 0, 0, 0, 1]


def test_the_target_of_a_route_can_be_set(data_dir):
    from engine.records import recorders

    with db.metrics().write() as tx:
        recorders.set_target(tx, "/slow/*", 9_000, at_ms=1, by="ann")
    record(1, name="/slow/report", duration_us=1_900_000)
    record(1, name="/other", duration_us=1_900_000)
    monitor.flush()
    bands = db.metrics().read("select name, band from events join series on series.id = series_id")
    assert {row["name"]: row["band"] for row in bands} == {"/slow/report": 0, "/other": 1}


def test_one_beat_rolls_up_trims_and_closes(data_dir):
    from engine import clock

    record(3)
    monitor.flush()
    now = clock.now_ms()
    day = 86_400_000
    assert monitor.beat(now + 3 * day)
    assert not monitor.beat(now + 3 * day + 1_000)
    tiers = db.metrics().read("select tier_ms, sum(n) as n from rollups group by tier_ms order by tier_ms")
    assert [row["n"] for row in tiers] == [6, 6, 6]  # the series and the total
    assert n_events() == 1  # of the raw events only the sample is left after 48 hours
    monitor.beat(now + 15 * day)
    assert n_events() == 0


def test_a_deploy_can_be_marked(data_dir):
    monitor.mark_deploy("1.2", "new index", at_ms=5)
    (row,) = db.metrics().read("select service, version, note from deploys")
    assert tuple(row) == ("offload", "1.2", "new index")
