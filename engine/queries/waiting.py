"""Reads about what a waiting task waits for: its place in the queue, pauses, workers, measured durations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    """Measured durations of the latest attempts of one type that succeeded, in milliseconds."""

    n: int
    low_ms: float
    median_ms: float
    high_ms: float
    """First decile, median and last decile."""


@dataclass(frozen=True)
class Crew:
    """The live worker processes that know a type, their threads, and when any worker was last heard of."""

    n_workers: int
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
    rows = db.main().read("select types, threads, heartbeat_at_ms from workers where stopped_at_ms is null")
    live = [row for row in rows if row["heartbeat_at_ms"] >= heard_since]
    able = [row for row in live if task_type in row["types"].split()]
    last = db.main().value("select max(heartbeat_at_ms) from workers")
    return Crew(len(able), sum(row["threads"] for row in able), len(live) - len(able), last)


def n_running(task_type: str) -> int:
    """Count the running tasks of a type."""
    sql = "select count(*) from tasks where state = 'running' and type = :type"
    return int(db.main().value(sql, type=task_type))


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
    values = sorted(row["duration_ms"] for row in rows)
    if not values:
        return None
    return Durations(len(values), _at(values, 0.1), _at(values, 0.5), _at(values, 0.9))


def _at(values: Sequence[int], share: float) -> float:
    return float(values[min(len(values) - 1, int(len(values) * share))])
