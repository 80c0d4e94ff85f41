"""Drain of tasks that do nothing, cost of an enqueue, cost of a claim however many wait.

    python -m bench.queue_throughput [--quick]

Every commit is flushed to the disk (synchronous=FULL). The drain is the rate between the first 5 % and the
last end; one and four threads in turn, medians of three rounds (one with --quick). Budgets: 1,500 tasks/s
on one thread, at most 20 % fewer with four; enqueue p50 under 400 us; a claim costs the same from 100 to
1,000,000 waiting rows (100,000 with --quick).
"""

import argparse
import statistics
import time

from bench.queue_kit import OPS, consumer, head, installation, percentile, submit, wait
from engine import lifecycle, registry
from engine.lifecycle import Ending
from engine.records import db
from engine.words import Outcome


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    head()
    rates = {1: [], 4: []}
    for _ in range(1 if quick else 3):
        for threads, found in rates.items():
            found.append(drain(threads, 1_500 if quick else 5_000))
    one, four = (statistics.median(rates[n]) for n in (1, 4))
    print(f"drain: {one:.0f} tasks/s on one thread (budget 1500), {four:.0f} on four ({four / one - 1:+.0%})")
    with installation():
        enqueue = [timed(lambda: lifecycle.submit(OPS, "probe", {})) for _ in range(300 if quick else 2_000)]
        p50, p95 = statistics.median(enqueue), percentile(enqueue, 95)
        print(f"enqueue: p50 {p50:.0f} us, p95 {p95:.0f} us (budget p50 400)")
        bulk = timed(lambda: submit(10_000))
        print(f"bulk: 10,000 in one transaction in {bulk / 1000:.0f} ms")
    with installation():
        for waiting in (100, 10_000, 100_000 if quick else 1_000_000):
            submit(waiting - db.main().value("select count(*) from tasks where state = 'queued'"))
            claims = [claim() for _ in range(100 if quick else 300)]
            print(
                f"claim with {waiting:,} waiting: p50 {statistics.median(claims):.0f} us, "
                f"p95 {percentile(claims, 95):.0f} us"
            )


def drain(threads, count):
    with installation():
        submit(count)
        with consumer(threads):
            done = "select count(*) from tasks where state = 'succeeded'"
            wait(lambda: db.main().value(done) == count, 120, poll_s=0.25)
        starts = sorted(r["finished_at_ms"] for r in db.main().read("select finished_at_ms from attempts"))
        first = count // 20
        return (count - first) / max(0.001, (starts[-1] - starts[first]) / 1000)


def claim():
    """Time a claim; then put the task back where it was, untimed."""
    began = time.perf_counter()
    task = lifecycle.claim("bench", registry.all_types())
    taken = (time.perf_counter() - began) * 1e6
    lifecycle.settle(task, Ending(Outcome.INTERRUPTED))
    return taken


def timed(function):
    """Return how long a call takes in microseconds."""
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1e6


if __name__ == "__main__":
    main()
