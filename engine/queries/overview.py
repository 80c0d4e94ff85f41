"""Reads for the Overview: what ended lately, and what runs or failed last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from engine import clock
from engine.records import db
from engine.words import Actor, Role, TaskState

COUNTED = 10_000
"""Counters stop here and say so."""
NEWEST = 1_000
"""Of one type so many of the newest are looked at: with 10,000 a page would take 30 ms more."""
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
    """How many tasks are in each state; from `most` on a number stands for that many or more."""

    n: Mapping[TaskState, int]
    most: int = COUNTED

    @property
    def total(self) -> int:
        return sum(self.n.values())

    @property
    def capped(self) -> bool:
        """Whether a count stopped at the bound."""
        return any(n >= self.most for n in self.n.values())


def tally(actor: Actor, *, type_name: str | None = None, owner: str | None = None) -> Tally:
    """Count the tasks the actor may see by the state they are shown in, up to `COUNTED` a state.

    Those of one owner are counted among the newest `COUNTED`, those of one type among the newest `NEWEST`.
    The bounds keep a counter as fast over a million rows as over ten.
    """
    owner = owner if actor.role.includes(Role.OPS) else actor.name
    if owner is None and type_name is None:
        return _tallied(_tally_all(), COUNTED)
    most = COUNTED if type_name is None else NEWEST
    rows = _tally_newest("type", type_name, most) if owner is None else _tally_newest("owner", owner, most)
    whole = sum(row["n"] for row in rows) < most
    found = [row for row in rows if type_name in (None, row["type"])]
    return _tallied(found, most if whole else 0)


def _tallied(rows: Sequence[db.Row], most: int) -> Tally:
    n = dict.fromkeys(TaskState, 0)
    for row in rows:
        n[TaskState(row["state"])] += int(row["n"])
    return Tally(n, most)


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


def _tally_newest(column: str, value: str | None, most: int) -> list[db.Row]:
    return db.main().read(
        f"""select case when state in ('scheduled', 'retrying') and due_at_ms <= :now
                       then 'queued' else state end as state, type, count(*) as n
            from (select state, due_at_ms, type from tasks where {column} = :value
                  order by seq desc limit :most) as newest
            group by 1, 2""",
        value=value,
        now=clock.now_ms(),
        most=most,
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
