"""Event streams: from a committed change of a task to each client that watches it, 1,000 clients.

    python -m bench.streams [--clients 1000] [--tasks 200] [--changes 50] [--seconds 15]

Each client holds one stream of the real api process; a writer in this process changes tasks directly in the
database, `--changes` a second, and puts the time into the progress note. Everything runs on this machine.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import tempfile
import time
from pathlib import Path

from bench.handover import api, at
from engine import lifecycle, tasks
from engine.records import db
from engine.words import Actor, Role

OWNER = Actor("bench", Role.OPS)


async def client(port, token, task_id, started, latencies):
    """Watch one task for ever and note how old each change is on arrival, in ms."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    path = f"/async-monitoring/tasks/{task_id}/stream/"
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(request.encode())
    await reader.readuntil(b"\r\n\r\n")
    try:
        while line := await reader.readline():
            if line.startswith(b"data: "):
                note = json.loads(line[6:])["progress_note"]
                if note:
                    latencies.append(time.perf_counter() * 1000 - float(note))
                else:
                    started.add(id(reader))
    finally:
        writer.close()


def change(task_id):
    """Write the time into the task, as a worker writes progress."""
    with db.main().write() as tx:
        tx.run(
            "update tasks set progress_note = :note where id = :id",
            note=str(time.perf_counter() * 1000),
            id=task_id,
        )


async def run(port, token, options, process):
    ids = lifecycle.submit_many(OWNER, "probe", [{}] * options.tasks)
    latencies, started = [], set()
    watching = []
    began = time.perf_counter()
    for n in range(options.clients):
        watching.append(asyncio.create_task(client(port, token, ids[n % len(ids)], started, latencies)))
        if n % 50 == 49:
            await asyncio.sleep(0.05)
    while len(started) < options.clients:
        await asyncio.sleep(0.05)
    connected_s = time.perf_counter() - began
    process.cpu_percent()
    stop, n_changes = time.perf_counter() + options.seconds, 0
    while time.perf_counter() < stop:
        await asyncio.to_thread(change, random.choice(ids))
        n_changes += 1
        await asyncio.sleep(1 / options.changes)
    cpu = process.cpu_percent()
    await asyncio.sleep(1)
    for task in watching:
        task.cancel()
    return {
        "clients": options.clients,
        "connected_s": round(connected_s, 1),
        "changes": n_changes,
        "events": len(latencies),
        "ms": {f"p{int(q * 100)}": at(latencies, q) for q in (0.5, 0.95, 0.99, 1)},
        "api_cpu_percent": cpu,
        "api_memory_mb": round(process.memory_info().rss / 1e6),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--changes", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    files = max(4096, options.clients + 100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OFFLOAD_DATA_DIR"] = str(Path(folder) / "data")
        tasks.load()
        with api(Path(folder) / "data") as (port, token, process):
            print(json.dumps(asyncio.run(run(port, token, options, process))))


if __name__ == "__main__":
    main()
