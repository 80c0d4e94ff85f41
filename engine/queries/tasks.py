"""Reads about tasks: lists, one task's timeline, counts."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine import clock
from engine.errors import InvalidInput, NotFound
from engine.records import db
from engine.records.tasks import Task
from engine.words import Actor, Role, TaskState

MAX_PAGE = 500
_LAST_SEQ = 2**62
_BEFORE_ATTEMPT, _ATTEMPT, _AFTER_ATTEMPT = range(3)
"""The order of what happened within one millisecond."""


@dataclass(frozen=True)
class Page:
    """Tasks, newest first, and the cursor of the next page, if any."""

    items: list[Task]
    next: str | None


@dataclass(frozen=True)
class Moment:
    """One entry of a task's timeline."""

    at_ms: int
    what: str
    who: str
    why: str


def visible(actor: Actor, task_id: str) -> Task | None:
    """Return a task the actor may see, or None."""
    row = db.main().one("select * from tasks where id = :id", id=task_id)
    return Task.from_row(row) if row and actor.may_see(row["owner"]) else None


def required(actor: Actor, task_id: str) -> Task:
    """Return a task the actor may see; raise NotFound for others."""
    task = visible(actor, task_id)
    if task is None:
        raise NotFound("There is no such task, or it is not yours.")
    return task


def several(actor: Actor, task_ids: Sequence[str]) -> dict[str, Task]:
    """Return those of the given tasks the actor may see, by id, in one query."""
    names, params = db.listed("id", task_ids)
    rows = db.main().read(f"select * from tasks where id in ({names})", **params)
    return {row["id"]: Task.from_row(row) for row in rows if actor.may_see(row["owner"])}


def page(
    actor: Actor,
    *,
    type_name: str | None = None,
    states: Sequence[TaskState] = (),
    owner: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """List tasks the actor may see; staff see their own. Raises InvalidInput for a cursor not ours."""
    if not actor.role.includes(Role.OPS):
        owner = actor.name if owner in (None, actor.name) else ""
    where = ["seq < :before"]
    limit = max(1, min(limit, MAX_PAGE))
    params: dict[str, Any] = {"before": _decode(cursor), "now": clock.now_ms(), "limit": limit + 1}
    for column, value in (("type", type_name), ("owner", owner)):
        if value is not None:
            where.append(f"{column} = :{column}")
            params[column] = value
    parts = [
        f"select * from (select * from tasks where {' and '.join([*where, *condition])} limit :limit) as part"
        for condition in _conditions(states)
    ]
    rows = db.main().read(f"{' union all '.join(parts)} order by seq desc limit :limit", **params)
    items = [Task.from_row(row) for row in rows[:limit]]
    return Page(items, _encode(items[-1].seq) if len(rows) > len(items) else None)


def in_order(task_ids: Sequence[str]) -> list[Task]:
    """Return the given tasks in the given order, whoever owns them; 500 a query."""
    found: dict[str, Task] = {}
    for start in range(0, len(task_ids), MAX_PAGE):
        names, params = db.listed("id", task_ids[start : start + MAX_PAGE])
        for row in db.main().read(f"select * from tasks where id in ({names})", **params):
            found[row["id"]] = Task.from_row(row)
    return [found[i] for i in task_ids if i in found]


def n_waiting(type_name: str | None = None, except_types: Sequence[str] = ()) -> int:
    """Count the tasks that have not begun or wait for a further attempt."""
    names, excepted = db.listed("except", [*except_types, ""])
    sql = f"""select count(*) from tasks where state in ('scheduled', 'queued', 'retrying')
              and type = coalesce(:type, type) and type not in ({names})"""
    return int(db.main().value(sql, type=type_name, **excepted))


def timeline(task_id: str) -> list[Moment]:
    """Return everything that happened to a task, oldest first."""
    events = db.main().read("select * from task_events where task_id = :id order by id", id=task_id)
    moments = [
        (
            e["at_ms"],
            _AFTER_ATTEMPT if e["from_state"] == TaskState.RUNNING else _BEFORE_ATTEMPT,
            e["id"],
            Moment(e["at_ms"], e["to_state"], e["actor"], e["reason"]),
        )
        for e in events
    ]
    for a in attempts_of(task_id):
        number, who = a["attempt"], a["worker_id"]
        began, ended = a["started_at_ms"], a["finished_at_ms"]
        moments.append((began, _ATTEMPT, number, Moment(began, f"attempt {number} began", who, "")))
        if ended is not None:
            what, why = f"attempt {number} {a['outcome']}", a["error_message"] or ""
            moments.append((ended, _ATTEMPT, number, Moment(ended, what, who, why)))
    return [moment for *_, moment in sorted(moments, key=lambda m: m[:3])]


def attempts_of(task_id: str) -> list[dict[str, Any]]:
    """Return a task's attempts with outcome, durations and log, oldest first."""
    rows = db.main().read("select * from attempts where task_id = :id order by attempt", id=task_id)
    return [dict(row) for row in rows]


def counts() -> dict[TaskState, int]:
    """Count all tasks by state."""
    rows = db.main().read("select state, count(*) as n from tasks group by state")
    found = {TaskState(row["state"]): row["n"] for row in rows}
    return {state: found.get(state, 0) for state in TaskState}


def _conditions(states: Sequence[TaskState]) -> Iterator[list[str]]:
    """Yield a condition with its order for each index that has the wanted rows in order, or nearly.

    One condition with `or` would make SQLite collect and sort all rows in those states. What is due counts as
    queued, as it is shown; there is little of it unless no worker runs, so it may be sorted.
    """
    newest = "order by seq desc"
    for state in dict.fromkeys(states):
        undue = " and due_at_ms > :now" if state in (TaskState.SCHEDULED, TaskState.RETRYING) else ""
        yield [f"state = '{state}'{undue} {newest}"]
    if TaskState.QUEUED in states:
        yield ["state in ('scheduled', 'retrying') and due_at_ms <= :now order by seq + 0 desc"]
    if not states:
        yield [f"1 = 1 {newest}"]


def _encode(seq: int) -> str:
    return base64.urlsafe_b64encode(str(seq).encode()).decode().rstrip("=")


def _decode(cursor: str | None) -> int:
    if cursor is None:
        return _LAST_SEQ
    try:
        return max(0, min(2**62, int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))))
    except (ValueError, binascii.Error):
        raise InvalidInput(
            "The cursor is not one of ours.", fields={"cursor": "take it from `next`"}
        ) from None
