"""Reads about schedules: the list, one schedule's history and occurrences, expected against actual."""

import base64
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import clock, settings
from engine.errors import InvalidInput
from engine.records import db
from engine.records.schedules import Schedule
from engine.words import Actor, Role

MAX_PAGE = 500
STRIP = 30
"""Occurrences shown beside each schedule."""
STATUSES = (
    "on_time",
    "late",
    "caught_up",
    "failed",
    "cancelled",
    "skipped",
    "overlapped",
    "waiting",
)
"""What came of an occurrence; `waiting` is not over yet."""
_GOOD = ("on_time", "late", "caught_up")
_MOST_DURATIONS = 100_000


@dataclass(frozen=True)
class Occurrence:
    """One due time and what came of it. Times in milliseconds."""

    schedule_id: str
    due_at_ms: int
    run_at_ms: int
    """Due time and jitter."""
    status: str
    started_at_ms: int | None
    duration_ms: int | None
    task_id: str | None
    task_state: str | None
    reason: str

    def document(self) -> dict[str, Any]:
        """Return the JSON shape of an occurrence."""
        late_ms = None if self.started_at_ms is None else max(0, self.started_at_ms - self.run_at_ms)
        return {
            "schedule_id": self.schedule_id,
            "due_at": clock.iso(self.due_at_ms),
            "run_at": clock.iso(self.run_at_ms),
            "status": self.status,
            "started_at": clock.iso(self.started_at_ms),
            "late_ms": late_ms,
            "duration_ms": self.duration_ms,
            "task_id": self.task_id,
            "task_state": self.task_state,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Listed:
    """A schedule in the list, with its last occurrences, oldest first."""

    schedule: Schedule
    strip: list[Occurrence]

    def document(self) -> dict[str, Any]:
        """Return the schedule's document with its last run and the statuses of its last occurrences."""
        last = self.strip[-1] if self.strip else None
        return {
            **self.schedule.document(),
            "last_run": last.document() if last else None,
            "last_statuses": [o.status for o in self.strip],
        }


@dataclass(frozen=True)
class Page:
    """Schedules by name, and the cursor of the next page, if any."""

    items: list[Listed]
    next: str | None


@dataclass(frozen=True)
class Stats:
    """Expected against actual of one schedule over a window. Durations in milliseconds."""

    schedule_id: str
    name: str
    expected: int
    by_status: dict[str, int]
    n_running: int
    """Occurrences that are on time, late or caught up so far, but whose task has not ended."""
    n_manual: int
    """Tasks started by hand, which no plan expected."""
    durations: list[int]

    @property
    def success_rate(self) -> float | None:
        """Share of the occurrences that ended, or should have run, which succeeded; None before the first.

        What a rule left out (skipped, overlapped) or a person cancelled is no failure.
        """
        good = sum(self.by_status.get(status, 0) for status in _GOOD) - self.n_running
        ran = good + self.by_status.get("failed", 0)
        return good / ran if ran else None

    def document(self) -> dict[str, Any]:
        """Return the JSON shape of the statistics."""
        return {
            "schedule_id": self.schedule_id,
            "name": self.name,
            "expected": self.expected,
            "by_status": {status: self.by_status.get(status, 0) for status in STATUSES},
            "n_manual": self.n_manual,
            "success_rate": self.success_rate,
            "duration_ms": {
                "n": len(self.durations),
                "p50": percentile(self.durations, 0.5),
                "p95": percentile(self.durations, 0.95),
                "max": self.durations[-1] if self.durations else None,
            },
        }


def page(
    actor: Actor, *, search: str = "", enabled: bool | None = None, limit: int = 50, cursor: str | None = None
) -> Page:
    """List schedules the actor may see by name; staff see their own."""
    limit = max(1, min(limit, MAX_PAGE))
    after = _decode(cursor)
    rows = db.main().read(
        """select * from schedules
           where removed_at_ms is null and owner = coalesce(:owner, owner)
               and enabled = coalesce(:enabled, enabled)
               and lower(name) like :search escape '\\'
               and (name > :name or (name = :name and id > :id))
           order by name, id limit :limit""",
        owner=_owner(actor),
        enabled=None if enabled is None else int(enabled),
        search=f"%{_literal(search.lower())}%",
        name=after[0],
        id=after[1],
        limit=limit + 1,
    )
    items = [Schedule.from_row(row) for row in rows[:limit]]
    listed = [Listed(schedule, occurrences(schedule.id, limit=STRIP)[::-1]) for schedule in items]
    return Page(listed, _encode(items[-1]) if len(rows) > limit else None)


def visible(actor: Actor, schedule_id: str) -> Schedule | None:
    """Return a schedule the actor may see, or None; removed ones too, for their history."""
    row = db.main().one("select * from schedules where id = :id", id=schedule_id)
    return Schedule.from_row(row) if row and actor.may_see(row["owner"]) else None


def counts(actor: Actor) -> dict[str, int]:
    """Count the schedules the actor may see: all, enabled and paused ones."""
    row = db.main().one(
        """select count(*) as n_all, coalesce(sum(enabled), 0) as n_enabled from schedules
           where removed_at_ms is null and owner = coalesce(:owner, owner)""",
        owner=_owner(actor),
    )
    assert row is not None
    return {"all": row["n_all"], "enabled": row["n_enabled"], "paused": row["n_all"] - row["n_enabled"]}


def history(schedule_id: str, limit: int = 100) -> list[dict[str, Any]]:
    """Return what was changed about a schedule, newest first."""
    rows = db.main().read(
        "select * from schedule_changes where schedule_id = :id order by id desc limit :limit",
        id=schedule_id,
        limit=limit,
    )
    return [
        {
            "at": clock.iso(row["at_ms"]),
            "actor": row["actor"],
            "action": row["action"],
            "detail": json.loads(row["detail"]),
        }
        for row in rows
    ]


def occurrences(schedule_id: str, *, limit: int = 100, before_ms: int | None = None) -> list[Occurrence]:
    """Return the occurrences of a schedule, newest first."""
    rows = db.main().read(
        f"""select o.*, t.state, a.started_at_ms, {_STATUS} as status,
                (select z.duration_ms from attempts z where z.task_id = o.task_id
                 order by z.attempt desc limit 1) as duration_ms
            {_JOINED}
            where o.schedule_id = :id and o.due_at_ms < :before
            order by o.due_at_ms desc limit :limit""",
        id=schedule_id,
        before=2**62 if before_ms is None else before_ms,
        limit=max(1, min(limit, MAX_PAGE)),
        **_moments(),
    )
    return [
        Occurrence(
            row["schedule_id"],
            row["due_at_ms"],
            row["run_at_ms"],
            row["status"],
            row["started_at_ms"],
            row["duration_ms"],
            row["task_id"],
            row["state"],
            row["reason"],
        )
        for row in rows
    ]


def stats(actor: Actor, since_ms: int, schedule_id: str | None = None) -> list[Stats]:
    """Return expected against actual by schedule, by name, for due times from a moment on until now."""
    scope = {"since": since_ms, "owner": _owner(actor), "id": schedule_id}
    schedules = db.main().read(
        """select id, name from schedules where removed_at_ms is null
               and owner = coalesce(:owner, owner) and id = coalesce(:id, id) order by name, id""",
        owner=scope["owner"],
        id=schedule_id,
    )
    by_status, running = _by_status(scope)
    manual = _manual(scope)
    durations = _durations(scope)
    return [
        Stats(
            row["id"],
            row["name"],
            sum(by_status[row["id"]].values()),
            by_status[row["id"]],
            running.get(row["id"], 0),
            manual.get(row["id"], 0),
            sorted(durations[row["id"]]),
        )
        for row in schedules
    ]


def percentile(ascending: Sequence[int], share: float) -> int | None:
    """Return the nearest-rank percentile of ascending values (ISO 3534-1), None without any."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)] if ascending else None


def plans(actor: Actor) -> list[Schedule]:
    """Return the enabled schedules the actor may see, for the forecast; ops see all."""
    rows = db.main().read(
        """select * from schedules where enabled = 1 and removed_at_ms is null
               and owner = coalesce(:owner, owner)""",
        owner=_owner(actor),
    )
    return [Schedule.from_row(row) for row in rows]


def usual_durations(since_ms: int) -> tuple[dict[str, int], dict[str, int]]:
    """Return the median duration in milliseconds by schedule and by task type, of attempts that succeeded."""
    rows = db.main().read(
        """select t.schedule_id, t.type, a.duration_ms from attempts a join tasks t on t.id = a.task_id
           where a.started_at_ms >= :since and a.outcome = 'succeeded' and a.duration_ms is not null
           order by a.started_at_ms desc limit :limit""",
        since=since_ms,
        limit=_MOST_DURATIONS,
    )
    by_schedule: dict[str, list[int]] = defaultdict(list)
    by_type: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_type[row["type"]].append(row["duration_ms"])
        if row["schedule_id"] is not None:
            by_schedule[row["schedule_id"]].append(row["duration_ms"])
    return _medians(by_schedule), _medians(by_type)


def n_threads(alive_since_ms: int) -> int:
    """Return how many tasks the workers heard of since a moment can run at a time."""
    sql = """select coalesce(sum(threads), 0) from workers
             where stopped_at_ms is null and heartbeat_at_ms >= :since"""
    return int(db.main().value(sql, since=alive_since_ms))


_JOINED = """
    from occurrences o
    left join tasks t on t.id = o.task_id
    left join attempts a on a.task_id = o.task_id and a.attempt = 1
"""
_STATUS = """
    case
        when o.decision in ('skipped', 'overlapped', 'waiting') then o.decision
        when o.decision = 'refused' or t.state in ('failed', 'expired') then 'failed'
        when t.state = 'cancelled' then 'cancelled'
        when o.caught_up = 1 then 'caught_up'
        when t.id is not null and coalesce(a.started_at_ms, :now) > o.run_at_ms + :late then 'late'
        when t.id is not null and a.started_at_ms is null then 'waiting'
        else 'on_time'
    end
"""


def _moments() -> dict[str, int]:
    return {"now": clock.now_ms(), "late": int(settings.get().schedule_late_s * 1000)}


def _by_status(scope: Mapping[str, Any]) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Return how many occurrences have each status by schedule, and how many good ones have not ended."""
    rows = db.main().read(
        f"""select o.schedule_id, {_STATUS} as status, count(*) as n,
                sum(case when t.state in ('scheduled', 'queued', 'running', 'retrying') then 1 else 0 end)
                    as n_running
            {_JOINED}
            join schedules s on s.id = o.schedule_id
            where o.due_at_ms >= :since and s.owner = coalesce(:owner, s.owner) and s.id = coalesce(:id, s.id)
            group by o.schedule_id, status""",
        **scope,
        **_moments(),
    )
    found: dict[str, dict[str, int]] = defaultdict(dict)
    running: dict[str, int] = defaultdict(int)
    for row in rows:
        found[row["schedule_id"]][row["status"]] = row["n"]
        running[row["schedule_id"]] += row["n_running"] if row["status"] in _GOOD else 0
    return found, running


def _manual(scope: Mapping[str, Any]) -> dict[str, int]:
    rows = db.main().read(
        """select t.schedule_id, count(*) as n from tasks t join schedules s on s.id = t.schedule_id
           where t.created_at_ms >= :since and s.owner = coalesce(:owner, s.owner)
               and s.id = coalesce(:id, s.id)
               and not exists (select 1 from occurrences o
                               where o.schedule_id = t.schedule_id and o.task_id = t.id)
           group by t.schedule_id""",
        **scope,
    )
    return {row["schedule_id"]: row["n"] for row in rows}


def _durations(scope: Mapping[str, Any]) -> dict[str, list[int]]:
    rows = db.main().read(
        """select o.schedule_id, a.duration_ms from occurrences o
           join schedules s on s.id = o.schedule_id
           join attempts a on a.task_id = o.task_id and a.outcome = 'succeeded'
           where o.due_at_ms >= :since and s.owner = coalesce(:owner, s.owner)
               and s.id = coalesce(:id, s.id) and a.duration_ms is not null
           order by o.due_at_ms desc limit :limit""",
        **scope,
        limit=_MOST_DURATIONS,
    )
    found: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        found[row["schedule_id"]].append(row["duration_ms"])
    return found


def _medians(values: Mapping[str, list[int]]) -> dict[str, int]:
    return {key: percentile(sorted(found), 0.5) or 0 for key, found in values.items()}


def _owner(actor: Actor) -> str | None:
    """Return the only owner whose schedules an actor sees, or None for all."""
    return None if actor.role.includes(Role.OPS) else actor.name


def _encode(last: Schedule) -> str:
    return base64.urlsafe_b64encode(json.dumps([last.name, last.id]).encode()).decode()


def _decode(cursor: str | None) -> tuple[str, str]:
    if cursor is None:
        return "", ""
    try:
        name, schedule_id = json.loads(base64.urlsafe_b64decode(cursor))
        return str(name), str(schedule_id)
    except (ValueError, TypeError):
        raise InvalidInput(
            "The cursor is not one of ours.", fields={"cursor": "take it from `next`"}
        ) from None


def _literal(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
