"""Schedule rows, their history and their occurrences. Each verb is one statement."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from engine import clock
from engine.records.db import Reader, Row, Transaction, listed

MISSED = "missed: no worker ran"
"""Why a due time was skipped that nobody was there for; stored."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One row of `schedules`; columns as in `schema/schedules.py`."""

    id: str
    name: str
    cron: str
    zone: str
    type: str
    payload: str
    owner: str
    enabled: int
    priority: int | None
    catch_up: str
    catch_up_max: int
    overlap: str
    jitter_s: int
    starts_at_ms: int | None
    ends_at_ms: int | None
    note: str
    system: int
    next_at_ms: int | None
    created_at_ms: int
    changed_at_ms: int
    removed_at_ms: int | None

    @classmethod
    def from_row(cls, row: Row) -> "Schedule":
        """Make a schedule of a row that has all columns of the table."""
        return cls(**{name: row[name] for name in COLUMNS})

    def document(self) -> dict[str, Any]:
        """Return the JSON shape of a schedule, the same everywhere."""
        return {
            "schedule_id": self.id,
            "name": self.name,
            "cron": self.cron,
            "zone": self.zone,
            "type": self.type,
            "payload": json.loads(self.payload),
            "owner": self.owner,
            "enabled": bool(self.enabled),
            "priority": self.priority,
            "catch_up": self.catch_up,
            "catch_up_max": self.catch_up_max,
            "overlap": self.overlap,
            "jitter_s": self.jitter_s,
            "start": clock.iso(self.starts_at_ms),
            "end": clock.iso(self.ends_at_ms),
            "note": self.note,
            "system": bool(self.system),
            "next_run": clock.iso(self.next_at_ms) if self.enabled else None,
            "created_at": clock.iso(self.created_at_ms),
            "changed_at": clock.iso(self.changed_at_ms),
            "removed_at": clock.iso(self.removed_at_ms),
        }


COLUMNS = tuple(f.name for f in fields(Schedule))
CHANGEABLE = frozenset(COLUMNS) - {"id", "owner", "system", "created_at_ms"}

_INSERT = f"""insert into schedules ({", ".join(COLUMNS)}) values ({", ".join(":" + c for c in COLUMNS)})"""


def get(reader: Reader, schedule_id: str) -> Schedule | None:
    """Return a schedule that was not removed."""
    row = reader.one("select * from schedules where id = :id and removed_at_ms is null", id=schedule_id)
    return Schedule.from_row(row) if row else None


def names_in_use(reader: Reader, owner: str, names: Iterable[str]) -> set[str]:
    """Return those of the names an owner has already given."""
    places, params = listed("name", list(names))
    rows = reader.read(
        f"""select name from schedules
            where owner = :owner and removed_at_ms is null and name in ({places})""",
        owner=owner,
        **params,
    )
    return {row["name"] for row in rows}


def insert_many(tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add schedules; raises Duplicate when an owner has that name already."""
    tx.run_many(_INSERT, rows)


def insert_builtin(tx: Transaction, row: Mapping[str, Any]) -> bool:
    """Add a schedule of the installation; return False when it is there already."""
    return tx.run(f"{_INSERT} on conflict do nothing", **row) == 1


def update(tx: Transaction, schedule_id: str, values: Mapping[str, Any]) -> bool:
    """Change columns of a schedule; return False when it was removed meanwhile."""
    if unknown := set(values) - CHANGEABLE:
        raise ValueError(f"not to be changed: {unknown}")
    sets = ", ".join(f"{name} = :{name}" for name in values)
    sql = f"update schedules set {sets} where id = :id and removed_at_ms is null"
    return tx.run(sql, id=schedule_id, **values) == 1


def advance(tx: Transaction, schedule: Schedule, next_at_ms: int | None) -> bool:
    """Move the plan on from the due time seen; return False when another beat or a change was first."""
    changed = tx.run(
        """update schedules set next_at_ms = :next
           where id = :id and next_at_ms = :was and changed_at_ms = :changed and enabled = 1
               and removed_at_ms is null""",
        id=schedule.id,
        next=next_at_ms,
        was=schedule.next_at_ms,
        changed=schedule.changed_at_ms,
    )
    return changed == 1


def note_change(
    tx: Transaction, schedule_id: str, actor: str, action: str, now_ms: int, detail: Mapping[str, Any]
) -> None:
    """Add a line to the history of a schedule; `detail` maps fields to [before, after] or to facts."""
    tx.run(
        """insert into schedule_changes (schedule_id, at_ms, actor, action, detail)
           values (:id, :now, :actor, :action, :detail)""",
        id=schedule_id,
        now=now_ms,
        actor=actor,
        action=action,
        detail=json.dumps(detail, ensure_ascii=False, separators=(",", ":"), default=str),
    )


def due(reader: Reader, now_ms: int, limit: int) -> list[Schedule]:
    """Return the enabled schedules whose next due time has come, the most overdue first."""
    rows = reader.read(
        """select * from schedules
           where enabled = 1 and removed_at_ms is null and next_at_ms is not null and next_at_ms <= :now
           order by next_at_ms limit :limit""",
        now=now_ms,
        limit=limit,
    )
    return [Schedule.from_row(row) for row in rows]


def not_due(reader: Reader, now_ms: int) -> list[Schedule]:
    """Return the enabled schedules whose plan lies ahead, or at an end."""
    rows = reader.read(
        """select * from schedules
           where enabled = 1 and removed_at_ms is null and (next_at_ms is null or next_at_ms > :now)""",
        now=now_ms,
    )
    return [Schedule.from_row(row) for row in rows]


def forget_skipped_after(tx: Transaction, at_ms: int) -> int:
    """Delete the skipped occurrences due after a moment, which have no task; return how many."""
    return tx.run(
        "delete from occurrences where due_at_ms > :at and decision = 'skipped' and task_id is null", at=at_ms
    )


def add_occurrence(tx: Transaction, row: Mapping[str, Any]) -> bool:
    """Record what is done about a due time; return False when that was recorded before."""
    return tx.run(_ADD_OCCURRENCE, **row) == 1


def add_occurrences(tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> int:
    """Record what is done about many due times; return how many were new."""
    return tx.run_many(_ADD_OCCURRENCE, rows)


def decide(
    tx: Transaction, schedule_id: str, due_at_ms: int, decision: str, *, task_id: str | None, reason: str = ""
) -> None:
    """Write what came of an occurrence: its task, or why there is none."""
    tx.run(
        """update occurrences set decision = :decision, task_id = :task, reason = :reason
           where schedule_id = :id and due_at_ms = :due""",
        id=schedule_id,
        due=due_at_ms,
        decision=decision,
        task=task_id,
        reason=reason[:500],
    )


def waiting(reader: Reader, limit: int) -> list[Row]:
    """Return the oldest waiting occurrence of each enabled schedule none of whose tasks is unfinished."""
    return reader.read(
        f"""select o.schedule_id, min(o.due_at_ms) as due_at_ms from occurrences o
            join schedules s on s.id = o.schedule_id and s.enabled = 1
            where o.decision = 'waiting' and not exists ({_ACTIVE.format(id="o.schedule_id")})
            group by o.schedule_id limit :limit""",
        limit=limit,
    )


def still_waits(reader: Reader, schedule_id: str, due_at_ms: int) -> bool:
    """Whether an occurrence still waits for the one before to end."""
    row = reader.one(
        """select 1 from occurrences
           where schedule_id = :id and due_at_ms = :due and decision = 'waiting'""",
        id=schedule_id,
        due=due_at_ms,
    )
    return row is not None


def n_waiting(reader: Reader, schedule_id: str) -> int:
    """Count the occurrences that wait for the one before to end."""
    sql = "select count(*) from occurrences where schedule_id = :id and decision = 'waiting'"
    return int(reader.value(sql, id=schedule_id))


def drop_waiting(tx: Transaction, schedule_id: str, reason: str) -> int:
    """Skip the occurrences that wait; return how many."""
    return tx.run(
        """update occurrences set decision = 'skipped', reason = :reason
           where schedule_id = :id and decision = 'waiting'""",
        id=schedule_id,
        reason=reason,
    )


def is_active(reader: Reader, schedule_id: str) -> bool:
    """Whether a task of the schedule has not ended."""
    return reader.one(_ACTIVE.format(id=":id"), id=schedule_id) is not None


def waiting_tasks(reader: Reader, schedule_id: str) -> list[str]:
    """Return the ids of the schedule's tasks that have not begun."""
    rows = reader.read(
        """select id from tasks
           where schedule_id = :id and state in ('scheduled', 'queued', 'retrying') order by seq""",
        id=schedule_id,
    )
    return [row["id"] for row in rows]


def remove_occurrences_before(tx: Transaction, at_ms: int, *, limit: int) -> int:
    """Delete at most `limit` occurrences due before a time, oldest first; return how many."""
    return tx.run(
        """delete from occurrences where (schedule_id, due_at_ms) in
           (select schedule_id, due_at_ms from occurrences
            where due_at_ms < :at_ms and decision <> 'waiting' order by due_at_ms limit :limit)""",
        at_ms=at_ms,
        limit=limit,
    )


_ADD_OCCURRENCE = """
    insert into occurrences (schedule_id, due_at_ms, run_at_ms, decided_at_ms, decision, caught_up, reason)
    values (:schedule_id, :due_at_ms, :run_at_ms, :decided_at_ms, :decision, :caught_up, :reason)
    on conflict do nothing
"""
_ACTIVE = """select 1 from tasks t where t.schedule_id = {id}
             and t.state in ('scheduled', 'queued', 'running', 'retrying')"""
