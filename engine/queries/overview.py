"""Reads for the Overview: what ended lately, and what runs or failed last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from engine import clock
from engine.records import db
from engine.words import Actor, Role, TaskState

COUNTED = 10_000
"""Counters stop here and say so."""
SHOWN: Sequence[TaskState] = (
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.EXPIRED,
)
"""The states in which a task has ended, in the order a bar stacks them."""

_LATER = " and due_at_ms > :now"
_COUNT = """select '{state}' as state, count(*) as n
            from (select 1 as one from tasks where {where} limit :most) as part{number}"""


@dataclass(frozen=True)
class Tally:
    """How many tasks are in each state; `COUNTED` means that many or more."""

    n: Mapping[TaskState, int]

    @property
    def total(self) -> int:
        return sum(self.n.values())

    @property
    def capped(self) -> bool:
        """Whether a count stopped at the bound."""
        return any(n >= COUNTED for n in self.n.values())


def tally(actor: Actor) -> Tally:
    """Count the tasks the actor may see by the state they are shown in, up to `COUNTED` a state.

    The bound keeps a counter as fast over a million rows as over ten.
    """
    rows = _tally_own(actor.name) if not actor.role.includes(Role.OPS) else _tally_all()
    by_state = {TaskState(row["state"]): int(row["n"]) for row in rows}
    return Tally({state: by_state.get(state, 0) for state in TaskState})


def ended(*, since_ms: int, bucket_ms: int) -> pa.Table:
    """Count the tasks that ended, per bucket and state; columns `at`, `until` and one per ended state.

    Every bucket from the first to now has a row, so that quiet hours are seen as such. No rows when nothing
    ended at all. Tasks of every owner are counted: this is about the installation.
    """
    first, now = since_ms - since_ms % bucket_ms, clock.now_ms()
    rows = db.main().read(
        """select finished_at_ms / :bucket as bucket, state, count(*) as n from tasks
           where finished_at_ms >= :first group by 1, 2""",
        first=first,
        bucket=bucket_ms,
    )
    found = {(row["bucket"], row["state"]): row["n"] for row in rows}
    buckets = range(first // bucket_ms, now // bucket_ms + 1) if rows else range(0)
    columns: dict[str, list[int]] = {"at": [b * bucket_ms for b in buckets]}
    columns["until"] = [(b + 1) * bucket_ms for b in buckets]
    columns |= {str(state): [found.get((b, str(state)), 0) for b in buckets] for state in SHOWN}
    return pa.table({name: _column(name, values) for name, values in columns.items()})


def _tally_own(owner: str) -> list[db.Row]:
    return db.main().read(
        """select case when state in ('scheduled', 'retrying') and due_at_ms <= :now
                       then 'queued' else state end as state, count(*) as n
           from (select state, due_at_ms from tasks where owner = :owner order by seq desc limit :most)
           group by 1""",
        owner=owner,
        now=clock.now_ms(),
        most=COUNTED,
    )


def _tally_all() -> list[db.Row]:
    """Count each state on its own, so that every count stops at the bound; what is due counts as queued."""
    waits = (TaskState.SCHEDULED, TaskState.RETRYING)
    parts = [(state, f"state = '{state}'{_LATER if state in waits else ''}") for state in TaskState]
    parts.append((TaskState.QUEUED, "state in ('scheduled', 'retrying') and due_at_ms <= :now"))
    counted = " union all ".join(_COUNT.format(number=i, state=s, where=w) for i, (s, w) in enumerate(parts))
    sql = f"select state, sum(n) as n from ({counted}) as counted group by state"
    return db.main().read(sql, now=clock.now_ms(), most=COUNTED)


def _column(name: str, values: list[int]) -> pa.Array:
    moment = name in ("at", "until")
    return (
        pa.array(values, pa.int64()).cast(pa.timestamp("ms", "UTC"))
        if moment
        else pa.array(values, pa.int64())
    )
