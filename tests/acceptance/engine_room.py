"""The worker alone: consumers on a data folder that the test itself reads and writes."""

import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psutil

from engine import lifecycle
from engine.records import db
from engine.records.tasks import Task
from tests.acceptance.house import House
from tests.engine_kit import OPS, row

CONSUMER = ("-m", "huey.bin.huey_consumer", "engine.worker.huey")
ENDED = ("succeeded", "failed", "cancelled", "expired")


class EngineRoom:
    """A house of which only workers run. `settings` are those of `House`."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.consumers: list[psutil.Popen] = []

    # Workers

    def start(self, *options: str, arguments: Sequence[str] = CONSUMER) -> psutil.Popen:
        """Start a consumer and return it when it is at work."""
        consumer = self.start_without_waiting(*options, arguments=arguments)
        self.house.wait(lambda: self.worker(consumer) or consumer.poll() is not None, "the worker's row")
        assert self.worker(consumer), self.house.log_tail()
        return consumer

    def start_without_waiting(self, *options: str, arguments: Sequence[str] = CONSUMER) -> psutil.Popen:
        consumer = self.house.spawn(*arguments, *options)
        self.consumers.append(consumer)
        return consumer

    def stop(self, consumer: psutil.Popen, number: int = signal.SIGTERM) -> int:
        """End a consumer and return its exit status."""
        consumer.send_signal(number)
        return int(consumer.wait(20))

    def close(self) -> None:
        """End every consumer in order, and those that do not without it."""
        for consumer in self.consumers:
            with suppress(psutil.NoSuchProcess):
                consumer.send_signal(signal.SIGCONT)
                consumer.terminate()
        for consumer in self.consumers:
            try:
                consumer.wait(20)
            except psutil.TimeoutExpired:
                consumer.kill()
                consumer.wait(5)

    def worker(self, consumer: psutil.Popen) -> Mapping[str, Any] | None:
        """Return the row of a consumer, the latest if it began anew."""
        return db.main().one(
            "select * from workers where pid = :pid order by started_at_ms desc limit 1", pid=consumer.pid
        )

    # Tasks

    def submit(self, count: int, **payload: Any) -> list[str]:
        return lifecycle.submit_many(OPS, "probe", [payload] * count)

    def submit_one(self, **payload: Any) -> str:
        return self.submit(1, **payload)[0]

    def states(self) -> Counter[str]:
        rows = db.main().read("select state, count(*) as n from tasks group by state")
        return Counter({r["state"]: r["n"] for r in rows})

    def running(self, count: int = 1) -> list[str]:
        """Wait until that many tasks are running and return their ids."""

        def look() -> list[str] | None:
            ids = [r["id"] for r in db.main().read("select id from tasks where state = 'running'")]
            return ids if len(ids) >= count else None

        ids: list[str] = self.house.wait(look, f"{count} running tasks")
        return ids

    def drain(self, within_s: float = 60) -> Counter[str]:
        """Wait until every task has ended and return how many ended how."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            states = self.states()
            if all(state in ENDED for state in states):
                return states
            time.sleep(0.05)
        raise AssertionError(f"not all ended: {self.states()}\n{self.house.log_tail()}")

    def ended(self, task_id: str, within_s: float = 30) -> Task:
        task: Task = self.house.wait(
            lambda: found if (found := row(task_id)) and found.state in ENDED else None,
            f"the end of {task_id}",
            within_s,
        )
        return task

    def outcomes(self) -> Counter[str]:
        """Count the attempts by outcome; an open attempt counts as `open`."""
        rows = db.main().read(
            "select coalesce(outcome, 'open') as o, count(*) as n from attempts group by outcome"
        )
        return Counter({r["o"]: r["n"] for r in rows})

    def recorded_twice(self) -> list[str]:
        """Return the tasks for which not exactly one success is recorded."""
        rows = db.main().read(
            """select t.id from tasks t left join attempts a on a.task_id = t.id and a.outcome = 'succeeded'
               where t.state = 'succeeded' group by t.id having count(a.attempt) <> 1
               union all
               select t.id from tasks t join attempts a on a.task_id = t.id and a.outcome = 'succeeded'
               where t.state <> 'succeeded'"""
        )
        return [r["id"] for r in rows]
