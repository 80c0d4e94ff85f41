"""Schedules against their budgets: a batch of 500, and the beat beside 10,000 of them.

    python -m bench.schedules

Works in a temporary data folder; nothing else may run on the machine for the numbers to mean much.
"""

import os
import statistics
import tempfile
import time

from engine import clock, tasks
from engine.queries import schedules as reads
from engine.records import db
from engine.services import schedules
from engine.services.schedules.forecast import forecast
from engine.words import Actor, Role

OPS = Actor("system", Role.ADMIN, "cli")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe")


def rows(begin, n):
    """Distinct expressions, a few of them due every five minutes."""
    for i in range(begin, begin + n):
        every = f"{i % 60} {i // 60 % 24} {'*' if i % 3 else '1-28'} * {'*' if i % 2 else '1-5'}"
        cron = "*/5 * * * *" if i % 100 == 0 else every
        yield {"name": f"s{i}", "cron": cron, "zone": ZONES[i % 5], "type": "probe"}


def timed(function):
    began = time.perf_counter()
    result = function()
    return (time.perf_counter() - began) * 1000, result


def beats(n):
    return statistics.median(timed(schedules.enqueue_due)[0] for _ in range(n))


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OFFLOAD_DATA_DIR"] = folder
        db.reset()
        tasks.load()
        wall = [time.time() // 300 * 300 + 30]
        clock._wall = lambda: wall[0]
        first, _ = timed(lambda: schedules.create_many(OPS, list(rows(0, 500))))
        for begin in range(500, 10_000, 500):
            schedules.create_many(OPS, list(rows(begin, 500)))
        schedules.enqueue_due()
        quiet = beats(50)
        wall[0] += 270
        busy, n_busy = timed(schedules.enqueue_due)
        wall[0] += 60
        after, n_after = timed(schedules.enqueue_due)
        forecast_ms, found = timed(lambda: forecast(OPS))
        page_ms, _ = timed(lambda: reads.page(OPS, limit=50))
        stats_ms, _ = timed(lambda: reads.stats(OPS, 0))
    print(f"batch of 500 rows:                            {first:8.1f} ms")
    print(f"beat beside 10,000, nothing due:              {quiet:8.2f} ms")
    print(f"beat beside 10,000, {n_busy:4} due:                 {busy:8.1f} ms")
    print(f"beat beside 10,000, {n_after:4} due:                 {after:8.1f} ms")
    print(f"forecast of 10,000 ({found.total} tasks):         {forecast_ms:8.1f} ms")
    print(f"page of 50 with strips:                       {page_ms:8.1f} ms")
    print(f"statistics of 10,000:                         {stats_ms:8.1f} ms")


if __name__ == "__main__":
    main()
