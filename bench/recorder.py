"""Record at a fixed rate and look for drops.

    python -m bench.recorder [--rate 20000] [--seconds 10]

One process puts units of 60 routes at the rate, in bursts of 5 ms, half of them with two queries, while the
writer thread stores them. Printed: what was recorded, stored and dropped, what the rollups hold, CPU time.
"""

import argparse
import os
import random
import tempfile
import time

os.environ.setdefault("OFFLOAD_DATA_DIR", tempfile.mkdtemp(prefix="offload-bench-"))

from engine.lib.trace import Statement, Trace
from engine.records import db
from engine.services import monitor
from engine.services.monitor import Unit

BURST_S = 0.005


def make(number: int, random_: random.Random) -> Unit:
    trace = None
    if number % 2:
        trace = Trace()
        for sql in ("select * from orders where id = :id", "select name from people where id = :id"):
            statement = trace.statements[sql] = Statement()
            statement.durations_ns = [random_.randrange(20_000, 900_000)]
    unit = Unit("bench", "http", f"/route/{number % 60}/{{id}}", trace)
    unit.method, unit.status = "GET", 200
    unit.duration_us = int(random_.lognormvariate(10.3, 0.9))
    unit.correlation_id = f"{number:016x}"
    return unit


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    recorder = monitor.start()
    random_ = random.Random(1)
    n = deepest = 0
    began = time.perf_counter()
    cpu = time.process_time()
    while (passed := time.perf_counter() - began) < options.seconds:
        due = int(passed * options.rate)
        while n < due:
            monitor.record(make(n, random_))
            n += 1
        deepest = max(deepest, len(recorder._buffer))
        time.sleep(BURST_S)
    passed, behind = time.perf_counter() - began, len(recorder._buffer)
    level = recorder.level
    monitor.flush()
    cpu = time.process_time() - cpu
    rolled = db.metrics().value(
        """select sum(n) from rollups join series on series.id = series_id
           where kind = 'http' and name = '*' and tier_ms = 60000"""
    )
    events = db.metrics().value("select count(*) from events")
    print(f"recorded {n} in {passed:.1f} s = {n / passed:,.0f}/s; dropped {recorder.n_dropped}")
    print(f"in the rollups {rolled}, single events {events}, level of detail at the end {level}")
    print(
        f"deepest queue {deepest} of 20,000, {behind} left at the end; CPU {cpu / n * 1e6:.1f} us per event"
    )
    monitor.stop()


if __name__ == "__main__":
    main()
