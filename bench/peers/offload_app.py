"""Offload as shipped."""

from engine import lifecycle, worker
from engine.registry import Body, all_types, task_type
from engine.words import Actor, Role
from peers import done

BENCH = Actor("bench", Role.OPS)


class Work(Body):
    """Which task, and how long it takes."""

    number: int
    ms: int


@task_type("bench_work", Work, title="Work")
def work(payload, task):
    """Do the work of all peers."""
    done(payload.number, payload.ms)


huey = worker.huey
huey._registry._registry.clear()  # it has adopted the types of the house; now with ours
huey.adopt(all_types())


def enqueue(number, ms):
    lifecycle.submit(BENCH, "bench_work", {"number": number, "ms": ms})
