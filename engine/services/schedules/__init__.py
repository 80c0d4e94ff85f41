"""Schedules: make, change, pause, resume, run now, remove. Due times are enqueued by `beat`."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine import clock, lifecycle, settings
from engine.errors import Conflict, Forbidden, InvalidInput, NotFound
from engine.records import audit, db, schedules
from engine.records.db import Reader, Transaction
from engine.records.schedules import Schedule
from engine.records.tasks import Task
from engine.services.schedules import drafts
from engine.services.schedules.beat import enqueue_due, ensure_builtin, owner_of
from engine.services.schedules.drafts import Draft
from engine.services.schedules.rows import read as read_rows
from engine.words import Actor, Role

__all__ = [
    "Draft",
    "Removed",
    "change",
    "check_many",
    "create",
    "create_many",
    "enqueue_due",
    "ensure_builtin",
    "pause",
    "read_rows",
    "remove",
    "resume",
    "run_now",
]

_TIMES = ("cron", "zone", "starts_at_ms", "ends_at_ms", "enabled")
_FIXED_OF_SYSTEM = frozenset({"name", "type", "payload"})


@dataclass(frozen=True)
class Removed:
    """What removing a schedule did to its work that had not begun."""

    n_cancelled: int
    n_kept: int


def create(actor: Actor, given: Mapping[str, Any]) -> Schedule:
    """Store a schedule; raise InvalidInput by field, Forbidden, or Conflict when the name is taken."""
    _staff(actor)
    values = drafts.check(actor, given).or_raise()
    return _store(actor, [values])[0]


def create_many(actor: Actor, rows: Sequence[Mapping[str, Any]]) -> list[Schedule]:
    """Store up to 500 schedules, all or none; raise InvalidInput with fields `schedules.<index>.<column>`."""
    _staff(actor)
    checked = check_many(actor, rows)
    faults = {f"schedules.{i}.{name}": text for i, c in enumerate(checked) for name, text in c.faults.items()}
    if faults:
        n_wrong = sum(bool(c.faults) for c in checked)
        message = f"{n_wrong} of {len(rows)} rows are not valid; nothing was stored."
        raise InvalidInput(message, fields=faults, code="invalid_rows")
    return _store(actor, [c.values for c in checked])


def check_many(actor: Actor, rows: Sequence[Mapping[str, Any]]) -> list[drafts.Checked]:
    """Check the rows of a batch without storing them, names against each other and the stored ones too."""
    most = settings.get().schedule_batch_rows
    if not 1 <= len(rows) <= most:
        raise InvalidInput(f"A batch has 1 to {most} rows; this one has {len(rows)}.", code="batch_size")
    checked = [_check_row(actor, row) for row in rows]
    names = [str(c.values["name"]) for c in checked if c.values]
    taken = schedules.names_in_use(db.main(), actor.name, names)
    for found in checked:
        name = found.values.get("name")
        if name in taken:
            found.faults.setdefault("name", "This name is taken, in this batch or by a schedule of yours.")
        elif name:
            taken.add(name)
    return checked


def change(actor: Actor, schedule_id: str, given: Mapping[str, Any]) -> Schedule:
    """Change fields of a schedule; the history keeps what they were.

    New times are planned from now on. Where they stay the same the plan does too, with what is due just now.
    """
    now_ms = clock.now_ms()
    schedule = _own(db.main(), actor, schedule_id)
    if schedule.system and (fixed := _FIXED_OF_SYSTEM & set(given)):
        raise Forbidden(f"The {', '.join(sorted(fixed))} of this schedule belongs to the installation.")
    before = drafts.as_draft(schedule)
    values = drafts.check(owner_of(db.main(), schedule), before | dict(given)).or_raise()
    if not schedule.system:
        drafts.admit(actor, values["type"])
    with db.main().write() as tx:
        if _own(tx, actor, schedule_id).changed_at_ms != schedule.changed_at_ms:
            raise Conflict("The schedule was changed meanwhile; look at it and try again.", code="changed")
        if values["name"] != schedule.name:
            _check_names(tx, schedule.owner, [values["name"]])
        if not values["enabled"]:
            values["next_at_ms"] = None
        elif all(values[name] == getattr(schedule, name) for name in _TIMES):
            del values["next_at_ms"]
        schedules.update(tx, schedule.id, {**values, "changed_at_ms": _later(schedule, now_ms)})
        after = _stored(tx, schedule.id)
        return _note(tx, actor, after, "changed", _difference(before, drafts.as_draft(after)), now_ms)


def pause(actor: Actor, schedule_id: str) -> Schedule:
    """Let no due time come until it is resumed; what is enqueued already stays."""
    return _switch(actor, schedule_id, enabled=False)


def resume(actor: Actor, schedule_id: str) -> Schedule:
    """Plan from now on; due times during the pause are not made up."""
    return _switch(actor, schedule_id, enabled=True)


def run_now(actor: Actor, schedule_id: str) -> Task:
    """Submit the schedule's task at once, as its owner; the plan does not move."""
    now_ms = clock.now_ms()
    with db.main().write() as tx:
        schedule = _own(tx, actor, schedule_id)
        if not schedule.system:
            drafts.admit(actor, schedule.type)
        done = lifecycle.submit_in(
            tx,
            owner_of(tx, schedule),
            schedule.type,
            json.loads(schedule.payload),
            priority=schedule.priority,
            schedule_id=schedule.id,
        )
        _note(tx, actor, schedule, "run now", {"task_id": done.task.id}, now_ms)
        return done.task


def remove(actor: Actor, schedule_id: str, *, waiting: Literal["keep", "cancel"] = "keep") -> Removed:
    """Remove a schedule; its tasks that have not begun are kept or cancelled, running ones go on."""
    now_ms = clock.now_ms()
    with db.main().write() as tx:
        schedule = _own(tx, actor, schedule_id)
        if schedule.system:
            raise Forbidden("This schedule belongs to the installation and cannot be removed.")
        schedules.drop_waiting(tx, schedule.id, "schedule removed")
        values = {"removed_at_ms": now_ms, "enabled": 0, "next_at_ms": None}
        _note(tx, actor, schedule, "removed", {"waiting": waiting}, now_ms)
        schedules.update(tx, schedule.id, values)
        task_ids = schedules.waiting_tasks(tx, schedule.id)
    if waiting == "keep":
        return Removed(0, len(task_ids))
    outcomes = [lifecycle.cancel(actor, task_id).outcome for task_id in task_ids]
    return Removed(outcomes.count("cancelled"), len(outcomes) - outcomes.count("cancelled"))


def _switch(actor: Actor, schedule_id: str, *, enabled: bool) -> Schedule:
    now_ms = clock.now_ms()
    with db.main().write() as tx:
        schedule = _own(tx, actor, schedule_id)
        if bool(schedule.enabled) == enabled:
            return schedule
        next_at_ms = drafts.first_due(_window(schedule), now_ms) if enabled else None
        if enabled and next_at_ms is None:
            raise Conflict("The schedule's end is over; change the end first.", code="schedule_over")
        values = {"enabled": int(enabled), "next_at_ms": next_at_ms}
        schedules.update(tx, schedule.id, {**values, "changed_at_ms": _later(schedule, now_ms)})
        action = "resumed" if enabled else "paused"
        return _note(tx, actor, _stored(tx, schedule.id), action, {}, now_ms)


def _store(actor: Actor, drafted: Sequence[Mapping[str, Any]]) -> list[Schedule]:
    now_ms = clock.now_ms()
    rows = [
        {
            **values,
            "id": secrets.token_hex(8),
            "owner": actor.name,
            "system": 0,
            "next_at_ms": values["next_at_ms"] if values["enabled"] else None,
            "created_at_ms": now_ms,
            "changed_at_ms": now_ms,
            "removed_at_ms": None,
        }
        for values in drafted
    ]
    with db.main().write() as tx:
        _check_names(tx, actor.name, [row["name"] for row in rows])
        schedules.insert_many(tx, rows)
        return [_note(tx, actor, Schedule(**row), "created", {}, now_ms) for row in rows]


def _check_row(actor: Actor, row: Mapping[str, Any]) -> drafts.Checked:
    try:
        return drafts.check(actor, row)
    except Forbidden as error:
        return drafts.Checked(faults={"type": error.message})


def _check_names(tx: Transaction, owner: str, names: Sequence[str]) -> None:
    if taken := schedules.names_in_use(tx, owner, names):
        raise Conflict(f"There is a schedule named {sorted(taken)[0]} already.", code="name_taken")


def _note(
    tx: Transaction, actor: Actor, schedule: Schedule, action: str, detail: Mapping[str, Any], now_ms: int
) -> Schedule:
    schedules.note_change(tx, schedule.id, actor.name, action, now_ms, detail)
    audit.add(tx, actor, f"schedule.{action.replace(' ', '_')}", schedule.id, {"name": schedule.name})
    return schedule


def _own(reader: Reader, actor: Actor, schedule_id: str) -> Schedule:
    schedule = schedules.get(reader, schedule_id)
    if schedule is None or not actor.may_see(schedule.owner):
        raise NotFound("There is no such schedule, or it is not yours.")
    _staff(actor)
    return schedule


def _stored(reader: Reader, schedule_id: str) -> Schedule:
    schedule = schedules.get(reader, schedule_id)
    assert schedule is not None, "it was read in this transaction"
    return schedule


def _staff(actor: Actor) -> None:
    if not actor.role.includes(Role.STAFF):
        raise Forbidden("Your role may look, not act.")


def _window(schedule: Schedule) -> dict[str, Any]:
    return {
        "cron": schedule.cron,
        "zone": schedule.zone,
        "starts_at_ms": schedule.starts_at_ms,
        "ends_at_ms": schedule.ends_at_ms,
    }


def _later(schedule: Schedule, now_ms: int) -> int:
    """Return a time of change that differs from the last one, which a beat under way may have read."""
    return max(now_ms, schedule.changed_at_ms + 1)


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {name: [before[name], after[name]] for name in before if before[name] != after[name]}
