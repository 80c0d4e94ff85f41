"""What the queue benchmarks share: a throw-away installation with one consumer, percentiles, the load."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil

from engine import lifecycle, tasks
from engine.records import db
from engine.words import Actor, Role

ROOT = Path(__file__).parents[1]
OPS = Actor("bench", Role.OPS)


@contextmanager
def installation(**settings):
    """Use an empty data folder in this process and all it starts; remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="offload-bench-") as folder:
        changes = {"OFFLOAD_DATA_DIR": folder, **{f"OFFLOAD_{k}": str(v) for k, v in settings.items()}}
        before = {name: os.environ.get(name) for name in changes}
        os.environ.update(changes)
        db.reset()
        tasks.load()
        try:
            yield Path(folder)
        finally:
            db.main().close()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
            db.reset()


@contextmanager
def consumer(threads):
    """Run `huey_consumer engine.worker.huey` with so many threads; yield its process once it is at work."""
    command = [sys.executable, "-m", "huey.bin.huey_consumer", "engine.worker.huey"]
    environment = {**os.environ, "OFFLOAD_WORKERS": str(threads), "PYTHONPATH": str(ROOT)}
    with open(os.devnull, "wb") as nothing:
        process = psutil.Popen(command, cwd=ROOT, env=environment, stdout=nothing, stderr=nothing)
    try:
        wait(lambda: db.main().value("select count(*) from workers where pid = :pid", pid=process.pid), 60)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except psutil.TimeoutExpired:
            process.kill()


def submit(count, **payload):
    """Enqueue probes, 10,000 a transaction; return their ids."""
    ids = []
    for start in range(0, count, 10_000):
        ids += lifecycle.submit_many(OPS, "probe", [payload] * min(10_000, count - start))
    return ids


def wait(condition, seconds, poll_s=0.02):
    """Return the first true value of `condition`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(poll_s)
    raise TimeoutError(f"waited {seconds} s")


def percentile(values, percent):
    """Return the nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def head():
    """Print what the numbers depend on."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    python = sys.version.split()[0]
    flush_us = sorted(flushes())[25]
    print(f"{os.cpu_count()} cores, load {load}, Python {python}, commit {commit.stdout.strip()}")
    print(f"flush of 4 KiB to the disk: p50 {flush_us:.0f} us (every commit needs one)")


def flushes():
    """Yield how long a write with fdatasync takes, in microseconds, 50 times."""
    with tempfile.NamedTemporaryFile(prefix="offload-bench-") as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            yield (time.perf_counter() - began) * 1e6
