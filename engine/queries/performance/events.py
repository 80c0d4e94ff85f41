"""The single requests: evidence of what is slow or failed, and everything under one correlation id."""

import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from engine import clock
from engine.queries.performance.figures import source
from engine.queries.performance.selection import Selection, Source, series
from engine.records import db
from engine.words import Actor

INSIDE = "inside"
"""Stands for the kind of a unit whose own bar is that of its attempt."""
BANDS = ("good", "warning", "critical")
HEAVY: tuple[tuple[int, str], ...] = (
    (1, "repeated query"),
    (2, "many queries"),
    (4, "database share"),
    (8, "rendering in the request"),
    (16, "outbound call in the request"),
    (32, "query blocked the event loop"),
    (64, "large response"),
    (128, "cache stampede"),
)


@dataclass(frozen=True)
class Statement:
    """The runs of one statement in one event."""

    sql_id: str
    text: str
    n: int
    total_ms: float
    max_ms: float
    n_on_loop: int
    caller: str


@dataclass(frozen=True)
class Event:
    """One recorded unit."""

    id: int
    at_ms: int
    service: str
    kind: str
    name: str
    method: str
    outcome: str
    status: int
    band: str
    duration_ms: float
    wait_ms: float
    n_queries: int
    query_ms: float
    cache_hits: int
    cache_misses: int
    response_bytes: int
    correlation_id: str
    parent_id: str | None
    user_hash: str | None
    role: str | None
    keep_reason: str | None
    heavy: tuple[str, ...]
    detail: dict[str, Any]
    statements: tuple[Statement, ...] = ()

    @property
    def at(self) -> str:
        """Return the start as ISO 8601."""
        return clock.iso(self.at_ms) or ""


@dataclass(frozen=True)
class Evidence:
    """Some single events and where they come from."""

    events: list[Event]
    source: Source


def evidence(
    selection: Selection,
    *,
    order: Literal["slowest", "newest"] = "slowest",
    reasons: tuple[str, ...] = ("slow", "failed", "heavy", "worst"),
    limit: int = 100,
) -> Evidence:
    """Return the kept single events of a window, with the queries of each."""
    # `+` keeps the planner from the index of series, which would read every event of them.
    ids = [row.id for row in series(selection, each=True)]
    listed = ", ".join(f":r{number}" for number in range(len(reasons)))
    sort = "duration_us desc, id desc" if order == "slowest" else "at_ms desc, id desc"
    found = db.metrics().read(
        f"""{_SELECT} where e.id in (
                select id from events where keep_reason in ({listed}) and keep_reason is not null
                and at_ms >= :start and at_ms < :end and +series_id in ({", ".join(map(str, ids)) or "null"})
                order by {sort} limit :limit)
            order by e.{sort.replace(", ", ", e.")}""",
        start=selection.start_ms,
        end=selection.end_ms,
        limit=limit + 1,
        **{f"r{number}": reason for number, reason in enumerate(reasons)},
    )
    statements = _statements([row["id"] for row in found[:limit]])
    events = [_event(row, statements) for row in found[:limit]]
    origin = source(selection, len(events), capped=len(found) > limit, limit=limit)
    kept = Source(origin.start_ms, origin.end_ms, origin.n, "kept single events", origin.capped, limit)
    return Evidence(events, kept)


def event(event_id: int) -> Event | None:
    """Return one event by its number."""
    row = db.metrics().one(f"{_SELECT} where e.id = :id", id=event_id)
    return _event(row, _statements([event_id])) if row else None


def by_correlation(correlation_id: str, *, limit: int = 500) -> list[Event]:
    """Return all recorded units under a correlation id, oldest first."""
    found = db.metrics().read(
        f"{_SELECT} where e.correlation_id = :id order by e.at_ms, e.id limit :limit",
        id=correlation_id,
        limit=limit,
    )
    statements = _statements([row["id"] for row in found])
    return [_event(row, statements) for row in found]


@dataclass(frozen=True)
class Bar:
    """One bar of the waterfall; `offset_ms` counts from the first bar."""

    label: str
    kind: str
    offset_ms: float
    duration_ms: float
    outcome: str
    depth: int
    detail: str = ""


@dataclass(frozen=True)
class Trace:
    """Everything under one correlation id: the request, its operations, its tasks and their attempts."""

    correlation_id: str
    events: list[Event]
    bars: list[Bar]
    tasks: list[dict[str, Any]] = field(default_factory=list)


def trace(actor: Actor, correlation_id: str) -> Trace:
    """Return what happened under a correlation id, in time; of tasks those that `actor` may see."""
    events = by_correlation(correlation_id)
    tasks = [
        dict(row)
        for row in db.main().read(
            """select id, type, state, owner, created_at_ms, started_at_ms, finished_at_ms, attempt from tasks
               where correlation_id = :id order by seq limit 100""",
            id=correlation_id,
        )
        if actor.may_see(row["owner"])
    ]
    attempts = _attempts(tasks)
    bars = [bar for unit in _once(events, attempts) for bar in _bars(unit)]
    bars += [bar for attempt in attempts for bar in _attempt_bars(attempt)]
    start = min((bar.offset_ms for bar in bars), default=0.0)
    moved = [
        Bar(b.label, b.kind, b.offset_ms - start, b.duration_ms, b.outcome, b.depth, b.detail) for b in bars
    ]
    return Trace(correlation_id, events, sorted(moved, key=lambda b: (b.offset_ms, b.depth)), tasks)


_SELECT = """
    select e.*, s.service, s.kind, s.name, s.method, s.outcome
    from events e join series s on s.id = e.series_id
"""


def _event(row: db.Row, statements: dict[int, list[Statement]]) -> Event:
    return Event(
        id=row["id"],
        at_ms=row["at_ms"],
        service=row["service"],
        kind=row["kind"],
        name=row["name"],
        method=row["method"],
        outcome=row["outcome"],
        status=row["status"],
        band=BANDS[row["band"]],
        duration_ms=row["duration_us"] / 1000,
        wait_ms=row["wait_us"] / 1000,
        n_queries=row["n_queries"],
        query_ms=row["query_us"] / 1000,
        cache_hits=row["n_cache_hits"],
        cache_misses=row["n_cache_misses"],
        response_bytes=row["response_bytes"],
        correlation_id=row["correlation_id"],
        parent_id=row["parent_id"],
        user_hash=row["user_hash"],
        role=row["role"],
        keep_reason=row["keep_reason"],
        heavy=tuple(word for bit, word in HEAVY if row["heavy"] & bit),
        detail=json.loads(row["detail"]) if row["detail"] else {},
        statements=tuple(statements.get(row["id"], ())),
    )


def _statements(event_ids: list[int]) -> dict[int, list[Statement]]:
    found: dict[int, list[Statement]] = {}
    if not event_ids:
        return found
    for row in db.metrics().read(
        f"""select q.*, t.text from event_sql q left join sql_texts t on t.id = q.sql_id
            where q.event_id in ({", ".join(map(str, event_ids))}) order by q.total_us desc"""
    ):
        found.setdefault(row["event_id"], []).append(
            Statement(
                sql_id=row["sql_id"],
                text=row["text"] or "",
                n=row["n"],
                total_ms=row["total_us"] / 1000,
                max_ms=row["max_us"] / 1000,
                n_on_loop=row["n_on_loop"],
                caller=row["caller"],
            )
        )
    return found


def _bars(unit: Event) -> list[Bar]:
    label = f"{unit.method} {unit.name}".strip()
    own = Bar(label, unit.kind, unit.at_ms, unit.duration_ms, unit.outcome, 0)
    bars = [] if unit.kind == INSIDE else [own]
    if unit.n_queries:
        detail = f"{unit.n_queries} queries"
        bars.append(Bar(f"queries of {label}", "query", unit.at_ms, unit.query_ms, "", 1, detail))
    for operation in unit.detail.get("operations", ()):
        bars.append(
            Bar(
                operation["name"],
                operation["kind"],
                unit.at_ms + operation["offset_us"] / 1000,
                operation["duration_us"] / 1000,
                "failed" if operation["failed"] else "succeeded",
                1,
                operation["detail"],
            )
        )
    return bars


@dataclass(frozen=True)
class _Attempt:
    """One attempt of a task that may be seen."""

    task: dict[str, Any]
    number: int
    started_at_ms: int
    wait_ms: int
    duration_ms: float | None
    outcome: str | None

    def is_told_by(self, unit: Event) -> bool:
        """Tell whether a recorded unit is this attempt: units begin within it, and carry no task id."""
        begins_in_it = 0 <= unit.at_ms - self.started_at_ms <= (self.duration_ms or 0)
        return unit.kind == "task" and unit.name == self.task["type"] and begins_in_it


def _attempts(tasks: list[dict[str, Any]]) -> list[_Attempt]:
    return [
        _Attempt(task, r["attempt"], r["started_at_ms"], max(0, r["wait_ms"]), r["duration_ms"], r["outcome"])
        for task in tasks
        for r in db.main().read(
            """select attempt, started_at_ms, wait_ms, duration_ms, outcome from attempts
               where task_id = :id order by attempt""",
            id=task["id"],
        )
    ]


def _once(events: list[Event], attempts: list[_Attempt]) -> list[Event]:
    """Return the units without the calls that another one shows as its operation, and with bare attempts."""
    operations = {
        (operation["name"], operation["duration_us"] / 1000)
        for unit in events
        for operation in unit.detail.get("operations", ())
        if operation["kind"] == "call"
    }
    return [
        replace(unit, kind=INSIDE) if any(a.is_told_by(unit) for a in attempts) else unit
        for unit in events
        if unit.kind != "call" or (unit.name, unit.duration_ms) not in operations
    ]


def _attempt_bars(attempt: _Attempt) -> list[Bar]:
    label = f"{attempt.task['type']} {attempt.task['id'][:8]}"
    started, waited = attempt.started_at_ms, attempt.wait_ms
    name = f"{label} attempt {attempt.number}"
    return [
        Bar(f"{label} waits", "wait", started - waited, waited, "", 1),
        Bar(name, "task", started, attempt.duration_ms or 0, attempt.outcome or "running", 1),
    ]
