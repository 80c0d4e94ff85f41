"""What goes wrong around a worker, one thing at a time, with real processes."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import contextmanager

import psutil
import pytest

from engine import lifecycle, registry
from engine.queries import tasks as reads
from engine.records import db, tasks
from engine.words import TaskState
from tests.engine_kit import OPS, attempts, reasons, row

N_WAITING = 100_000


def outcomes(task_id):
    return [a["outcome"] for a in attempts(row(task_id))]


# Processes end, stop, start


def test_kill_9_of_a_consumer_leaves_no_process_behind_and_its_tasks_run_again(new_room):
    room = new_room(WORKERS="4")
    consumer = room.start()
    room.submit(4, sleep_ms=60_000, in_child=True)
    ids = room.running(4)
    room.house.wait(lambda: len(consumer.children(recursive=True)) == 5, "a fork server and four children")
    consumer.kill()
    consumer.wait(5)
    room.house.wait(lambda: room.house.processes() == [], "the end of all its processes", within_s=5)
    second = room.start()
    room.house.wait(lambda: all(row(i).attempt == 2 for i in ids), "their second attempts")
    assert [outcomes(i) for i in ids] == [["died", None]] * 4
    for task_id in ids:
        lifecycle.cancel(OPS, task_id)
    assert room.drain() == {"cancelled": 4}
    assert room.stop(second) == 0


def test_two_consumers_share_the_work_and_run_each_task_once(new_room):
    room = new_room(WORKERS="2")
    room.start()
    room.start()
    room.submit(300, sleep_ms=5)
    assert room.drain() == {"succeeded": 300}
    assert room.outcomes() == {"succeeded": 300}
    rows = db.main().read("select worker_id, count(*) as n from attempts group by worker_id")
    assert len(rows) == 2


def test_sigterm_lets_short_work_finish(new_room):
    room = new_room(WORKERS="2")
    consumer = room.start()
    short = room.submit(2, sleep_ms=1_000, in_child=True)
    left = room.submit(2, sleep_ms=0)
    room.running(2)
    assert room.stop(consumer) == 0
    assert [row(i).state for i in short] == ["succeeded"] * 2
    assert [row(i).state for i in left] == ["queued"] * 2
    assert room.worker(consumer)["stop_reason"] == "shut down"
    assert room.house.processes() == []


def test_sigterm_gives_long_work_back_without_counting_it(new_room):
    room = new_room(WORKERS="2", SHUTDOWN_S="1")
    consumer = room.start()
    ids = [room.submit_one(sleep_ms=60_000, in_child=True), room.submit_one(sleep_ms=60_000)]
    room.running(2)
    assert room.stop(consumer) == 0
    assert [(row(i).state, row(i).failures, row(i).deaths) for i in ids] == [("queued", 0, 0)] * 2
    assert [outcomes(i) for i in ids] == [["interrupted"]] * 2
    assert reasons(row(ids[0]))[-1] == "worker shut down"
    assert room.house.processes() == []


def test_second_sigterm_waits_for_nothing(new_room):
    room = new_room(WORKERS="2", SHUTDOWN_S="600")
    consumer = room.start()
    ids = [room.submit_one(sleep_ms=60_000, in_child=True), room.submit_one(sleep_ms=60_000)]
    room.running(2)
    consumer.terminate()
    late = room.submit_one()
    with pytest.raises(psutil.TimeoutExpired):
        consumer.wait(1)
    assert room.stop(consumer) == 0
    assert [outcomes(i) for i in ids] == [["interrupted"]] * 2
    assert (row(late).state, outcomes(late)) == ("queued", [])
    assert room.house.processes() == []


def test_sighup_begins_anew_in_place(new_room):
    room = new_room(WORKERS="2")
    consumer = room.start()
    before = room.worker(consumer)["id"]
    task_id = room.submit_one(sleep_ms=300)
    room.running()
    consumer.send_signal(signal.SIGHUP)
    assert room.ended(task_id).state == "succeeded"
    room.house.wait(lambda: room.worker(consumer)["id"] != before, "the new worker of the same process")
    old = "select stopped_at_ms from workers where id = :id"
    room.house.wait(lambda: db.main().value(old, id=before), "the end of its former self")
    assert room.ended(room.submit_one()).state == "succeeded"


def test_stopped_worker_that_wakes_after_its_lease_records_nothing(new_room):
    room = new_room(WORKERS="1", LEASE_S="3", HEARTBEAT_S="0.5", BUSY_TIMEOUT_S="2")
    sleeper = room.start()
    task_id = room.submit_one(sleep_ms=700)
    room.running()
    suspend_outside_a_write(sleeper, room.house.data_dir)
    room.start()
    assert room.ended(task_id).state == "succeeded"
    before = attempts(row(task_id))
    sleeper.resume()
    room.house.wait(lambda: "lease lost" in room.house.output(), "the notice that it lost its lease")
    assert attempts(row(task_id)) == before
    assert [a["outcome"] for a in before] == ["died", "succeeded"]
    sleepers = "select count(*) from attempts where outcome = 'succeeded' and worker_id = :id"
    room.submit(40, sleep_ms=20)
    assert room.drain() == {"succeeded": 41}
    assert db.main().value(sleepers, id=room.worker(sleeper)["id"]) > 0


def test_short_lease_alone_frees_the_task_of_a_worker_that_hangs(new_room):
    """With the heartbeat's default, 5 s, in force nobody would ever trust a lease of 3 s."""
    room = new_room(WORKERS="1", LEASE_S="3")
    hung = room.start()
    task_id = room.submit_one(sleep_ms=3_000)
    room.running()
    suspend_outside_a_write(hung, room.house.data_dir)
    room.start()
    assert room.ended(task_id).state == "succeeded"
    assert outcomes(task_id) == ["died", "succeeded"]


def suspend_outside_a_write(process, data_dir):
    """Stop a process, but not while it holds the write lock: then nobody could write, whatever the design."""
    other = sqlite3.connect(data_dir / "offload.db", isolation_level=None, timeout=0.2)
    for _ in range(20):
        process.suspend()
        try:
            other.execute("begin immediate")
            other.execute("rollback")
            other.close()
            return
        except sqlite3.OperationalError:
            process.resume()
    raise AssertionError("it writes all the time")


def test_worker_threads_that_are_renewed_lose_nothing(new_room):
    room = new_room(WORKERS="2")
    room.start("--max-tasks", "1")
    room.submit(12)
    assert room.drain() == {"succeeded": 12}
    assert room.outcomes() == {"succeeded": 12}


def test_process_workers_are_refused_in_one_sentence(new_room):
    room = new_room()
    consumer = room.start_without_waiting("--worker-type", "process")
    assert consumer.wait(20) != 0
    assert "leave out --worker-type" in room.house.output()


# Code


def test_worker_without_the_code_of_a_type_leaves_it_to_one_that_has_it(new_room):
    room = new_room()
    (room.house.folder / "partial.py").write_text(
        "from engine import registry, worker\ndel registry._types['probe']\nhuey = worker.build()\n"
    )
    room.house.environment["PYTHONPATH"] += os.pathsep + str(room.house.folder)
    partial = room.start(arguments=("-m", "huey.bin.huey_consumer", "partial.huey"))
    task_id = room.submit_one()
    heartbeat = room.worker(partial)["heartbeat_at_ms"]
    room.house.wait(lambda: room.worker(partial)["heartbeat_at_ms"] > heartbeat, "its next heartbeat")
    assert row(task_id).state == "queued"
    room.start()
    assert room.ended(task_id).state == "succeeded"


def test_payload_its_type_no_longer_accepts_fails_with_a_clear_message(new_room):
    room = new_room()
    task_id = room.submit_one()
    with db.main().write() as tx:
        tx.run("update tasks set payload = :p where id = :id", p='{"snooze_ms": 5}', id=task_id)
    room.start()
    task = room.ended(task_id)
    assert (task.state, task.error_code, task.payload) == ("failed", "invalid_input", '{"snooze_ms": 5}')
    assert "snooze_ms: Extra inputs are not permitted" in task.error_message


# The database


def test_write_lock_held_for_8_s_while_tasks_finish(new_room):
    room = new_room(WORKERS="4")
    room.start()
    room.submit(4, sleep_ms=500)
    room.running(4)
    other = sqlite3.connect(room.house.data_dir / "offload.db", isolation_level=None)
    other.execute("begin immediate")
    time.sleep(8)
    assert room.states() == {"running": 4}
    other.execute("rollback")
    other.close()
    assert room.drain() == {"succeeded": 4}
    assert room.outcomes() == {"succeeded": 4}


@contextmanager
def small_disk(path):
    """A file system of 6 MiB in memory."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("making a small file system needs root and a kernel that lets it mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_disk_full_while_tasks_finish(new_room):
    room = new_room(WORKERS="2", HEARTBEAT_S="0.5")
    with small_disk(room.house.data_dir):
        try:
            consumer = room.start()
            ids = [room.submit_one(sleep_ms=1_500), room.submit_one(sleep_ms=1_500, in_child=True)]
            room.running(2)
            fill(room.house.data_dir / "filler")
            room.house.wait(lambda: "outcome not recorded yet" in room.house.output(), "the full disk")
            assert room.states() == {"running": 2}
            assert consumer.is_running()
            (room.house.data_dir / "filler").unlink()
            assert [room.ended(i).state for i in ids] == ["succeeded"] * 2
            assert [outcomes(i) for i in ids] == [["succeeded"]] * 2
            assert db.main().value("pragma integrity_check") == "ok"
        finally:
            room.close()
            db.main().close()


def fill(path):
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


STORM = """
import json, time
from engine import lifecycle, tasks
from engine.records import db
from tests.engine_kit import OPS

tasks.load()
while not db.main().value("select 1 from queue_pauses"):  # the starting shot
    time.sleep(0.001)
done = [lifecycle.submit(OPS, "probe", {"note": "once"}, idempotency_key="k") for _ in range(50)]
print(json.dumps([d.task.id for d in done if d.created] + sorted({d.task.id for d in done})))
"""


def test_duplicate_submits_of_one_key_from_four_processes_make_one_task(new_room):
    room = new_room()
    clients = [room.house.spawn("-c", STORM) for _ in range(4)]
    lifecycle.pause(OPS)
    assert [client.wait(30) for client in clients] == [0] * 4, room.house.log_tail()
    answers = [json.loads(log.read_text().splitlines()[-1]) for log in room.house.logs]
    assert len({task_id for answer in answers for task_id in answer}) == 1
    assert sorted(map(len, answers)) == [1, 1, 1, 2]  # one of the four made it
    assert db.main().value("select count(*) from tasks") == 1


def test_a_hundred_thousand_waiting_rows_cost_a_claim_and_a_list_nothing(new_room):
    room = new_room(WORKERS="1")
    types = registry.all_types()
    room.submit(100)
    few = steps_of_a_look(types)
    for _ in range(N_WAITING // 10_000):
        room.submit(10_000)
    assert steps_of_a_look(types) <= few + 20
    assert steps(lambda: reads.page(OPS, limit=50)) < 10_000
    for state in (TaskState.QUEUED, TaskState.RUNNING, TaskState.FAILED):
        assert steps(lambda state=state: reads.page(OPS, states=[state])) < 20_000, state
    listed = room.house.cli_json("tasks", "list", "--state", "queued", "--limit", "500")
    assert len(listed["items"]) == 500
    room.start()
    room.house.wait(lambda: room.states()["succeeded"] >= 200, "200 of them done")


def steps_of_a_look(types):
    names = [t.name for t in types]
    return steps(lambda: tasks.head(db.main(), names))


def steps(function):
    """Count the instructions of SQLite's virtual machine, in tens: the same on every machine."""
    connection, count = db.main()._connect(), [0]

    def tick():
        count[0] += 10

    connection.set_progress_handler(tick, 10)
    try:
        function()
    finally:
        connection.set_progress_handler(None, 0)
    return count[0]


# Cancel


@pytest.mark.parametrize("in_child", [False, True])
def test_running_task_stops_when_cancelled(new_room, in_child):
    room = new_room(WORKERS="2")
    consumer = room.start()
    task_id = room.submit_one(sleep_ms=60_000, in_child=in_child)
    room.running()
    if in_child:
        room.house.wait(lambda: len(consumer.children(recursive=True)) == 2, "the child")
    assert lifecycle.cancel(OPS, task_id).outcome == "requested"
    task = room.ended(task_id, within_s=10)
    assert (task.state, outcomes(task_id)) == ("cancelled", ["cancelled"])
    assert reasons(task)[-1] == "stopped as olga asked"
    # Beside the fork server itself; while it starts it asks the compiler where libraries are.
    room.house.wait(lambda: len(consumer.children(recursive=True)) <= 1, "the child to be gone")
    assert room.ended(room.submit_one()).state == "succeeded"


def test_killed_child_costs_one_attempt_and_no_worker(new_room):
    room = new_room(WORKERS="2")
    consumer = room.start()
    task_id = room.submit_one(sleep_ms=1_500, in_child=True)
    room.house.wait(lambda: row(task_id).progress > 0, "the child at work")
    (child,) = psutil.Process(consumer.children()[0].pid).children()
    child.kill()
    assert room.ended(task_id).state == "succeeded"
    assert outcomes(task_id) == ["failed", "succeeded"]
    assert attempts(row(task_id))[0]["error_code"] == "child_crashed"
    assert consumer.is_running()
