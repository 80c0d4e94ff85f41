"""Idle enqueue-to-start, cancel and idle CPU of one worker, as shipped (4 threads).

    python -m bench.queue_latency [--quick]

Enqueue to start is measured from just before the submit to the start recorded with the attempt (the clock is
one: same machine). Cancel is from the call to the recorded end. Budgets: p95 under 150 ms, cancel p95 under
200 ms, idle CPU under 2 % of one core.
"""

import argparse
import random
import statistics
import time

from bench.queue_kit import OPS, consumer, head, installation, percentile, submit, wait
from engine import clock, lifecycle
from engine.records import db


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    head()
    with installation(), consumer(4) as process:
        time.sleep(2)
        idle = cpu_percent(process, 5 if quick else 30)
        latencies = [enqueue_to_start() for _ in range(20 if quick else 100)]
        in_process = [cancel(in_child=False) for _ in range(10 if quick else 40)]
        in_child = [cancel(in_child=True) for _ in range(10 if quick else 40)]
    print(f"idle CPU of the consumer: {idle:.1f} % of one core (budget 2 %)")
    for name, values, budget in (
        ("enqueue to start, idle", latencies, 150),
        ("cancel, in process", in_process, 200),
        ("cancel, in a child", in_child, 200),
    ):
        print(
            f"{name}: p50 {statistics.median(values):.0f} ms, p95 {percentile(values, 95):.0f} ms, "
            f"max {max(values):.0f} ms of {len(values)} (budget p95 {budget} ms)"
        )


def cpu_percent(process, seconds):
    def used():
        times = process.cpu_times()
        return times.user + times.system

    before, began = used(), time.monotonic()
    time.sleep(seconds)
    return 100 * (used() - before) / (time.monotonic() - began)


def enqueue_to_start():
    time.sleep(random.uniform(0.15, 0.45))  # so that no phase of the polling is preferred
    began_ms = clock.now_ms()
    task_id = lifecycle.submit(OPS, "probe", {}).task.id
    sql = "select started_at_ms from attempts where task_id = :id"
    return wait(lambda: db.main().value(sql, id=task_id), 30) - began_ms


def cancel(in_child):
    (task_id,) = submit(1, sleep_ms=60_000, in_child=in_child)
    sql = "select progress from tasks where id = :id and state = 'running'"
    wait(lambda: db.main().value(sql, id=task_id) is not None, 30)
    time.sleep(random.uniform(0.05, 0.3))
    asked_ms = clock.now_ms()
    lifecycle.cancel(OPS, task_id)
    ended = "select finished_at_ms from tasks where id = :id and state = 'cancelled'"
    return wait(lambda: db.main().value(ended, id=task_id), 30) - asked_ms


if __name__ == "__main__":
    main()
