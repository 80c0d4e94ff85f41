"""Shorthands for tests of the task engine: people, task types, endings, the rows as they are."""

import threading

from pydantic import Field

from engine import lifecycle, registry
from engine.lifecycle import Ending
from engine.records import db, tasks, workers
from engine.registry import Body
from engine.words import Actor, Outcome, Role

ANN = Actor("ann", Role.STAFF)
BOB = Actor("bob", Role.STAFF)
OPS = Actor("olga", Role.OPS)
EVE = Actor("eve", Role.VIEWER)
NOON_MS = 1_764_590_400_000  # 2025-12-01T12:00:00Z

DONE = Ending(Outcome.SUCCEEDED)
FAIL = Ending(Outcome.FAILED, error=("broke", "It broke."))
FATAL = Ending(Outcome.FAILED, error=("broke", "It broke for good."), permanent=True)


class FakeClock:
    """A wall clock in seconds; starts at 2025-12-01 12:00 UTC."""

    def __init__(self):
        self.now_s = NOON_MS / 1000

    def __call__(self):
        return self.now_s

    def advance(self, seconds):
        self.now_s += seconds


class Box(Body):
    """A payload with one number."""

    size: int = Field(1, ge=1, le=100)


def add_type(name="job", run=lambda payload, task: None, **options):
    """Register a task type; retried after 10 and 60 s unless told otherwise."""
    options = {"title": name, "delays_s": (10, 60), **options}
    registry.task_type(name, Box, **options)(run)
    return registry.get(name)


def submit(type_name="job", payload=None, actor=ANN, **options):
    return lifecycle.submit(actor, type_name, payload or {}, **options).task


def claim(worker_id="w1"):
    return lifecycle.claim(worker_id, registry.all_types())


def submit_and_claim(worker_id="w1", **options):
    submit(**options)
    return claim(worker_id)


def row(task):
    """The task as it stands in the database now."""
    return tasks.get(db.main(), task if isinstance(task, str) else task.id)


def state(task):
    return str(row(task).state)


def attempts(task):
    return [
        dict(r)
        for r in db.main().read("select * from attempts where task_id = :id order by attempt", id=task.id)
    ]


def events(task):
    """The moves of a task as (from, to)."""
    found = db.main().read("select * from task_events where task_id = :id order by id", id=task.id)
    return [(r["from_state"], r["to_state"]) for r in found]


def reasons(task):
    found = db.main().read("select * from task_events where task_id = :id order by id", id=task.id)
    return [r["reason"] for r in found]


def register_worker(worker_id, pid=1, **changes):
    """Write the row of a worker as its consumer would."""
    values = {
        "id": worker_id,
        "host": "h",
        "host_key": "k",
        "pid": pid,
        "start_ticks": 1,
        "threads": 4,
        "version": "1",
        "types": "job",
        "started_at_ms": NOON_MS,
        **changes,
    }
    with db.main().write() as tx:
        workers.register(tx, values)


def in_threads(*functions):
    """Call the functions at the same moment in a thread each; return what each returned or raised."""
    barrier, results = threading.Barrier(len(functions)), [None] * len(functions)

    def call(index, function):
        barrier.wait(10)
        try:
            results[index] = function()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results
