"""Hand-over while the machine is busy: the latency of `POST` beside 2 renders and 50 people on a live page.

    python -m bench.crowded [--rate 200] [--seconds 15] [--path /api/reports] [--sessions 50]

All that `./offload up` runs, on one data folder and the cores of this machine: the api process, asked in an
open loop (`bench/handover.py`), the worker, which renders what has queued up, two at a time, and the pages'
process with its viewers (`bench/pages.py`), who are a process of their own. Also shown: the same before the
others have started.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from bench.handover import BODIES, ROOT, api, at, one_by_one, open_loop, request_of
from bench.pages import SETTLE_S, drive, pages

RAMP_S = 10
BACKLOG = 400
"""Reports that wait when the measurement begins, more than are rendered in its time."""


@contextmanager
def worker(folder):
    """Run a worker until the end of the block; yield a function that counts the reports it has rendered."""
    environment = {**os.environ, "OFFLOAD_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "huey.bin.huey_consumer", "engine.worker.huey"]
    database = sqlite3.connect(folder / "offload.db")
    rendered = "select count(*) from tasks where type = 'report' and state = 'succeeded'"
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield lambda: database.execute(rendered).fetchone()[0]
    finally:
        process.terminate()
        process.wait(30)
        database.close()


def look(options, port, cookie):
    """Be the viewers, until their time is over."""
    asyncio.run(drive(options, port, cookie))


def measured(port, request, options):
    """Return percentiles of the latency in ms at the given rate."""
    asyncio.run(open_loop(port, request, 50, 2))  # warm
    latencies, statuses = asyncio.run(open_loop(port, request, options.rate, options.seconds))
    return {"statuses": statuses} | {f"p{int(q * 100)}": at(latencies, q) for q in (0.5, 0.95, 0.99, 1)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--path", choices=list(BODIES), default="/api/reports")
    parser.add_argument("--sessions", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent, api(Path(parent) / "data") as (port, token, _):
        folder, request = Path(parent) / "data", request_of(options.path, token)
        result = {"rate": options.rate, "alone_ms": measured(port, request, options)}
        asyncio.run(one_by_one(port, request_of("/api/reports", token), BACKLOG))
        with pages(folder, "") as (pages_port, cookie, _), worker(folder) as n_rendered:
            look_s = options.seconds + SETTLE_S
            looking = argparse.Namespace(
                page="performance", sessions=options.sessions, every=None, ramp=RAMP_S, seconds=look_s
            )
            viewers = multiprocessing.Process(target=look, args=(looking, pages_port, cookie))
            viewers.start()
            time.sleep(RAMP_S + SETTLE_S)
            before = n_rendered()
            result["crowded_ms"] = measured(port, request, options)
            result["n_rendered"] = n_rendered() - before
            viewers.join()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
