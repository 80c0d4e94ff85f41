"""The invariant of the house under fire: no accepted task is lost, and no outcome is recorded twice."""

import os
import random
import signal
import time
from contextlib import suppress

import psutil

from engine.records import db

N_TASKS = 1_000
STORM_S = 15


def test_killing_random_processes_loses_nothing_and_records_nothing_twice(new_room, record_property):
    room, dice = new_room(WORKERS="4"), random.Random(20261124)
    room.submit(N_TASKS, sleep_ms=60, in_child=True)
    consumers = [room.start(), room.start()]
    killed = {"consumer": 0, "fork server": 0, "child": 0}
    until = time.monotonic() + STORM_S
    while time.monotonic() < until:
        kind = dice.choice(list(killed))
        with suppress(psutil.NoSuchProcess, IndexError):
            victim = dice.choice(targets(consumers, kind))
            os.kill(victim.pid, signal.SIGKILL)
            killed[kind] += 1
            if kind == "consumer":
                victim.wait(5)
                consumers[consumers.index(victim)] = room.start_without_waiting()
        time.sleep(1)
    states = room.drain(within_s=60)
    executions = db.main().value("select count(*) from attempts")
    report = f"killed {killed}, extra executions {executions - N_TASKS}, {dict(room.outcomes())}"
    record_property("chaos", report)
    print(report)
    assert states == {"succeeded": N_TASKS}, report
    assert room.recorded_twice() == []
    assert room.outcomes()["succeeded"] == N_TASKS
    assert "open" not in room.outcomes()
    assert db.main().value("pragma integrity_check") == "ok"


def targets(consumers, kind):
    """The live consumers, their fork servers (children), or the children of these."""
    alive = [c for c in consumers if c.is_running()]
    if kind == "consumer":
        return alive
    servers = [server for consumer in alive for server in consumer.children()]
    return servers if kind == "fork server" else [child for server in servers for child in server.children()]
