"""Outbound work through a real worker: 50 calls in bulk beside other tasks, and cancelling a running call.

Run: python -m bench.outbound [--cancels 20]. Budgets: 50 calls to a server that takes 1 s end in under 8 s
while other tasks go on; a running call is cancelled with p95 under 200 ms.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.lib.http.hostile import Hostile, answer

ROOT = Path(__file__).parents[1]

CONSUMER = ("-m", "huey.bin.huey_consumer", "engine.worker.huey")


def until(happened, within_s=60):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if happened():
            return
        time.sleep(0.005)
    raise TimeoutError


def bulk(server, engine):
    lifecycle, row, system = engine
    server.on["/second"] = lambda sock, request: (server.stopped.wait(1), answer(b"x")(sock, request))[1]
    began = time.monotonic()
    task = lifecycle.submit(system, "call_bulk", {"calls": [{"url": f"{server.url}/second"}] * 50}).task
    waits = []
    while not row(task.id).state.ended:
        probe = lifecycle.submit(system, "probe", {}).task
        until(lambda p=probe: row(p.id).state.ended)
        done = row(probe.id)
        waits.append(done.finished_at_ms - done.created_at_ms)
        time.sleep(0.2)
    result = json.loads(row(task.id).result)
    print(
        json.dumps(
            {
                "calls": result["n_succeeded"],
                "seconds": round(time.monotonic() - began, 2),
                "budget_s": 8,
                "other_tasks_meanwhile": len(waits),
                "their_median_ms": statistics.median(waits),
                "their_worst_ms": max(waits),
            }
        )
    )


def cancels(server, engine, count):
    lifecycle, row, system = engine
    arrived = threading.Event()
    server.on["/slow"] = lambda sock, request: (arrived.set(), server.stopped.wait(60))[1]
    took = []
    for _ in range(count):
        arrived.clear()
        task = lifecycle.submit(system, "api_call", {"url": f"{server.url}/slow"}).task
        assert arrived.wait(20)
        began = time.monotonic()
        lifecycle.cancel(system, task.id)
        until(lambda t=task: row(t.id).state.ended)
        took.append((time.monotonic() - began) * 1000)
    took.sort()
    p95 = took[max(0, round(len(took) * 0.95) - 1)]
    print(
        json.dumps(
            {
                "cancels": count,
                "p50_ms": round(statistics.median(took)),
                "p95_ms": round(p95),
                "budget_ms": 200,
            }
        )
    )


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--cancels", type=int, default=20)
    chosen = arguments.parse_args()
    server = Hostile()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OFFLOAD_DATA_DIR"] = folder
        os.environ["OFFLOAD_ALLOWED_PRIVATE_HOSTS"] = f"127.0.0.1:{server.port}"
        os.environ["PYTHONPATH"] = str(ROOT)
        from engine import lifecycle, tasks
        from engine.records import db
        from engine.records import tasks as rows
        from engine.words import SYSTEM

        tasks.load()
        db.main()
        worker = subprocess.Popen([sys.executable, *CONSUMER], stderr=subprocess.DEVNULL)
        try:
            until(lambda: db.main().value("select count(*) from workers"))
            engine = (lifecycle, lambda task_id: rows.get(db.main(), task_id), SYSTEM)
            bulk(server, engine)
            cancels(server, engine, chosen.cancels)
        finally:
            worker.terminate()
            worker.wait(30)
            server.close()


if __name__ == "__main__":
    main()
