"""Reads for the operations page: how much of each type waits and runs, and how old the oldest is."""

from dataclasses import dataclass

from engine import clock
from engine.records import db

COUNTED = 10_000
"""Waiting tasks of one type are counted up to here."""


@dataclass(frozen=True)
class Backlog:
    """What waits and runs of one task type."""

    type: str
    n_queued: int
    n_later: int
    """Scheduled, or waiting for a further attempt."""
    n_running: int
    latency_ms: int | None
    """Age of the oldest task that could start, None where there is none."""
    paused_by: str | None


def backlog(types: list[str]) -> list[Backlog]:
    """Return the backlog of each of the given types, in their order."""
    paused = {row["scope"]: row["paused_by"] for row in db.main().read("select * from queue_pauses")}
    return [_backlog(name, paused.get("*") or paused.get(name)) for name in types]


def _backlog(name: str, paused_by: str | None) -> Backlog:
    """Each count is a range of an index that leads with the state, and stops at the bound."""
    now_ms = clock.now_ms()
    row = db.main().one(
        """select
             (select count(*) from (select 1 as one from tasks
                where state = 'queued' and type = :type limit :most) as q) as queued,
             (select count(*) from (select 1 as one from tasks
                where state in ('scheduled', 'retrying') and type = :type limit :most) as l) as later,
             (select count(*) from tasks where state = 'running' and type = :type) as running,
             (select min(queued_at_ms) from (select queued_at_ms from tasks
                where state = 'queued' and type = :type limit :most) as o) as oldest""",
        type=name,
        most=COUNTED,
    )
    assert row is not None
    age = None if row["oldest"] is None else max(0, now_ms - row["oldest"])
    return Backlog(name, row["queued"], row["later"], row["running"], age, paused_by)
