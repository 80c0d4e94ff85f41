"""Reads about API calls: history, the items of a bulk, the limit, what the cache did."""

import json
from dataclasses import dataclass
from typing import Any

from engine import clock
from engine.lib import addresses
from engine.records import db
from engine.records.calls import HOUR_MS
from engine.records.db import Row
from engine.words import Actor, Role, TaskState

_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Call:
    """One line of the history. `timing` is in milliseconds, empty while there is no answer."""

    task_id: str
    owner: str
    method: str
    url: str
    state: TaskState
    created_at_ms: int
    finished_at_ms: int | None
    status: int | None
    error_code: str | None
    cached: bool
    n_tries: int
    n_bytes: int | None
    timing: dict[str, float]


@dataclass(frozen=True)
class Used:
    """How much of an hour's limit is used. `opens_at_ms` is when the next call is possible, None for now."""

    n_used: int
    limit: int
    opens_at_ms: int | None


@dataclass(frozen=True)
class CacheUse:
    """What the response cache did for an owner in a number of days, and holds now."""

    n_days: int
    n_hits: int
    n_misses: int
    n_stored: int
    n_kept: int
    kept_bytes: int


def history(actor: Actor, *, limit: int = 50, owner: str | None = None) -> list[Call]:
    """Return the latest calls: one's own, or everybody's for ops."""
    if not actor.role.includes(Role.OPS):
        owner = actor.name
    rows = db.main().read(
        """select c.*, t.state from calls c join tasks t on t.id = c.task_id
           where c.owner = coalesce(:owner, c.owner) order by c.created_at_ms desc limit :limit""",
        owner=owner,
        limit=max(1, min(limit, 500)),
    )
    return [_call(row) for row in rows]


def one(task_id: str) -> Call | None:
    """Return the history line of a call."""
    row = db.main().one(
        "select c.*, t.state from calls c join tasks t on t.id = c.task_id where c.task_id = :id", id=task_id
    )
    return _call(row) if row else None


def items(task_id: str) -> list[dict[str, Any]]:
    """Return the items of a bulk in order, without their bodies."""
    rows = db.main().read("select * from call_items where task_id = :id order by position", id=task_id)
    return [
        {
            "index": row["position"],
            "method": row["method"],
            "url": row["url"],
            "state": row["state"],
            "status": row["status"],
            "error": {"code": row["error_code"], "message": row["error_message"]}
            if row["error_code"]
            else None,
            "duration_ms": row["duration_ms"],
        }
        for row in rows
    ]


def target_of(task_id: str) -> str | None:
    """Return what the limit counts of a call: its address without the query."""
    url = db.main().value("select url from calls where task_id = :id", id=task_id)
    verdict = addresses.check_url(url) if url else None
    if verdict is None or not verdict.allowed:
        return None
    return addresses.target(url)


def used(owner: str, target: str, limit: int) -> Used:
    """Return how much of the limit of an address an owner has used in the last hour."""
    row = db.main().one(
        """select count(*) as n, min(at_ms) as oldest from call_counts
           where owner = :owner and target = :target and at_ms > :old""",
        owner=owner,
        target=target,
        old=clock.now_ms() - HOUR_MS,
    )
    n_used = row["n"] if row else 0
    return Used(n_used, limit, row["oldest"] + HOUR_MS if row and n_used >= limit else None)


def cache_use(owner: str, n_days: int = 7) -> CacheUse:
    """Return what the response cache did for an owner."""
    now_ms = clock.now_ms()
    counts = db.cache().one(
        """select coalesce(sum(n_hits), 0) as hits, coalesce(sum(n_misses), 0) as misses,
               coalesce(sum(n_stored), 0) as stored
           from response_counts where owner = :owner and day > :day""",
        owner=owner,
        day=now_ms // _DAY_MS - n_days,
    )
    kept = db.cache().one(
        """select count(*) as n, coalesce(sum(n_bytes), 0) as size from responses
           where owner = :owner and expires_at_ms > :now""",
        owner=owner,
        now=now_ms,
    )
    assert counts is not None
    assert kept is not None
    return CacheUse(n_days, counts["hits"], counts["misses"], counts["stored"], kept["n"], kept["size"])


def _call(row: Row) -> Call:
    return Call(
        task_id=row["task_id"],
        owner=row["owner"],
        method=row["method"],
        url=row["url"],
        state=TaskState(row["state"]),
        created_at_ms=row["created_at_ms"],
        finished_at_ms=row["finished_at_ms"],
        status=row["status"],
        error_code=row["error_code"],
        cached=bool(row["cached"]),
        n_tries=row["n_tries"],
        n_bytes=row["n_bytes"],
        timing=json.loads(row["timing"]) if row["timing"] else {},
    )
