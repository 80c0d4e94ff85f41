"""Reads about what a waiting task waits for: its place in the queue, pauses, workers, measured durations."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from engine import clock
from engine.records import db, flags
from engine.records.tasks import Task

COUNTED = 1_000
"""Places ahead are counted up to here, so that a long queue does not make the question slow."""
_SAMPLE = 200


@dataclass(frozen=True)
class Pause:
    """Who paused what, and when."""

    scope: str
    paused_at_ms: int
    paused_by: str
    note: str


@dataclass(frozen=True)
class Durations:
    """Measured durations of the latest attempts of one type that succeeded."""

    sorted_ms: tuple[int, ...]

    def remaining_ms(self, elapsed_ms: int, share: float) -> float:
        """Return how long one that has run for some time goes on: a quantile over those that ran longer.

        Infinite where none ran that long: nothing is known of it.
        """
        longer = self.sorted_ms[bisect_left(self.sorted_ms, elapsed_ms) :]
        return longer[min(len(longer) - 1, int(len(longer) * share))] - elapsed_ms if longer else math.inf


@dataclass(frozen=True)
class Running:
    """A running task: its type, and for how long it has been running."""

    type: str
    elapsed_ms: int


@dataclass(frozen=True)
class Crew:
    """The live worker processes that know a type, their threads, and when any worker was last heard of."""

    ids: tuple[str, ...]
    n_threads: int
    n_others: int
    """Live workers that do not have the code of the type."""
    last_heartbeat_at_ms: int | None


def pause_of(task_type: str) -> Pause | None:
    """Return the pause that holds a type back, the whole queue's first."""
    row = db.main().one(
        "select * from queue_pauses where scope in ('*', :type) order by scope = '*' desc limit 1",
        type=task_type,
    )
    return Pause(row["scope"], row["paused_at_ms"], row["paused_by"], row["note"]) if row else None


def crew(task_type: str) -> Crew:
    """Return who could run a type now."""
    heard_since = clock.now_ms() - flags.silent_after_ms()
    rows = db.main().read(
        "select id, types, threads, heartbeat_at_ms from workers where stopped_at_ms is null"
    )
    live = [row for row in rows if row["heartbeat_at_ms"] >= heard_since]
    able = [row for row in live if task_type in row["types"].split()]
    last = db.main().value("select max(heartbeat_at_ms) from workers")
    n_threads = sum(row["threads"] for row in able)
    return Crew(tuple(row["id"] for row in able), n_threads, len(live) - len(able), last)


def running(column: Literal["type", "worker_id"], values: Sequence[str]) -> list[Running]:
    """Return the running tasks of some types or workers."""
    names, params = db.listed("value", values)
    rows = db.main().read(
        f"select type, started_at_ms from tasks where state = 'running' and {column} in ({names})", **params
    )
    now_ms = clock.now_ms()
    return [Running(row["type"], max(0, now_ms - (row["started_at_ms"] or now_ms))) for row in rows]


def ahead(task: Task, types: Sequence[str]) -> dict[str, int]:
    """Count by type the queued tasks, of the given types, claimed before this one; up to `COUNTED`."""
    names, params = db.listed("type", types)
    rows = db.main().read(
        f"""select type, count(*) as n from (
                select type from tasks where state = 'queued' and type in ({names})
                    and (priority > :priority or (priority = :priority and seq < :seq)) limit :counted)
            group by type""",
        priority=task.priority,
        seq=task.seq,
        counted=COUNTED,
        **params,
    )
    return {row["type"]: row["n"] for row in rows}


def durations(types: Sequence[str]) -> Mapping[str, Durations]:
    """Return how long the latest successful attempts of each type took; types without any are left out."""
    return {name: found for name in types if (found := _durations(name))}


def _durations(task_type: str) -> Durations | None:
    rows = db.main().read(
        """select a.duration_ms from tasks t join attempts a on a.task_id = t.id and a.attempt = t.attempt
           where t.type = :type and a.outcome = 'succeeded' order by t.seq desc limit :sample""",
        type=task_type,
        sample=_SAMPLE,
    )
    return Durations(tuple(sorted(row["duration_ms"] for row in rows))) if rows else None
