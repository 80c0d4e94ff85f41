"""What the beat of every consumer does for schedules: enqueue what is due, once.

Any number of beats may run at the same time and die at any moment: the plan moves on, the occurrences are
recorded and the tasks are inserted in one transaction, guarded by the due time that was read, and the primary
key (schedule, due time) refuses what all else let through.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine import clock, lifecycle, log, registry, settings
from engine.errors import Forbidden, OffloadError
from engine.lib import cron
from engine.queries import access
from engine.records import db, schedules, workers
from engine.records.db import LockedOrFull, Reader, Transaction
from engine.records.schedules import Schedule
from engine.services.schedules.drafts import first_due
from engine.words import SYSTEM, Actor, Role

_READ_AT_ONCE = 500
_WRITTEN_AT_ONCE = 50
"""Schedules in one transaction: few enough that submitters do not wait long for the write lock."""
_COUNTED_AT_ONCE = 10_000
"""Most due times of one schedule looked at in one beat; after a longer outage the next beat goes on."""

_SET_BACK_MS = 60_000

logger = log.get(__name__)
_beaten_at_ms = 0


@dataclass(frozen=True)
class Plan:
    """What is to be done about a schedule now. Times are in milliseconds."""

    schedule: Schedule
    skipped: list[int]
    made_up: list[int]
    due: list[int]
    next_at_ms: int | None
    fault: str = ""


def enqueue_due() -> int:
    """Enqueue each due occurrence as its rules say, and what waited for its predecessor; return how many."""
    ensure_builtin()
    now_ms = clock.now_ms()
    _mind_the_clock(now_ms)
    n_enqueued = 0
    while due := schedules.due(db.main(), now_ms, _READ_AT_ONCE):
        plans = [_plan(schedule, now_ms) for schedule in due]
        for start in range(0, len(plans), _WRITTEN_AT_ONCE):
            with db.main().write() as tx:
                n_enqueued += sum(
                    _apply(tx, plan, now_ms) for plan in plans[start : start + _WRITTEN_AT_ONCE]
                )
        if len(due) < _READ_AT_ONCE:
            break
    return n_enqueued + _release(now_ms)


def ensure_builtin() -> None:
    """Store the installation's own schedules, once per process and data folder."""
    _ensure_builtin(settings.get().data_dir)


def owner_of(reader: Reader, schedule: Schedule) -> Actor:
    """Return who a schedule's tasks run for, with the role the person has now; raise Forbidden."""
    if schedule.system:
        return SYSTEM
    if schedule.owner == SYSTEM.name:
        return Actor(SYSTEM.name, Role.ADMIN, "schedule")
    user = access.user(schedule.owner, reader)
    if user is None or user.disabled_at_ms is not None:
        raise Forbidden(f"The owner {schedule.owner} is no longer a user here.")
    return Actor(user.name, user.role, "schedule")


def jitter_ms(schedule: Schedule, due_at_ms: int) -> int:
    """Return the delay of an occurrence: evenly spread, and the same whoever computes it."""
    if not schedule.jitter_s:
        return 0
    digest = hashlib.sha256(f"{schedule.id} {due_at_ms}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * schedule.jitter_s * 1000 >> 64


def _mind_the_clock(now_ms: int) -> None:
    """Plan anew when the clock was set back: plans made while it was ahead may lie years away.

    What was enqueued then stays recorded and is not repeated; what was only skipped then comes again. The
    first beat of a process asks when any worker was heard of last: the clock may have changed in between.
    """
    global _beaten_at_ms
    before_ms, _beaten_at_ms = _beaten_at_ms or workers.last_heard_ms(db.main()), now_ms
    if now_ms > before_ms - _SET_BACK_MS:
        return
    with db.main().write() as tx:
        n_forgotten = schedules.forget_skipped_after(tx, now_ms)
        for schedule in schedules.not_due(tx, now_ms):
            _plan_anew(tx, schedule, now_ms)
    logger.warning("clock set back", by_s=(before_ms - now_ms) // 1000, n_forgotten=n_forgotten)


def _plan_anew(tx: Transaction, schedule: Schedule, now_ms: int) -> None:
    window = {name: getattr(schedule, name) for name in ("cron", "zone", "starts_at_ms", "ends_at_ms")}
    try:
        next_at_ms = first_due(window, now_ms)
    except OffloadError:  # a zone that is gone; stopped when it is due
        return
    if next_at_ms != schedule.next_at_ms:
        schedules.update(tx, schedule.id, {"next_at_ms": next_at_ms})


def _plan(schedule: Schedule, now_ms: int) -> Plan:
    """Work out the due times since the plan last moved; done before the write lock is taken."""
    assert schedule.next_at_ms is not None, "only schedules with a plan are due"
    until_ms = now_ms if schedule.ends_at_ms is None else min(now_ms, schedule.ends_at_ms)
    try:
        times = _times(schedule, schedule.next_at_ms, until_ms)
        full = len(times) == _COUNTED_AT_ONCE
        if full:  # the latest wait for the next beat: the catch-up rule is about all that were missed
            times, held_back = times[: -schedule.catch_up_max], times[-schedule.catch_up_max :]
            next_at_ms: int | None = held_back[0]
        else:
            next_at_ms = cron.next_after(schedule.cron, schedule.zone, now_ms)
    except Exception as error:  # noqa: BLE001 - one schedule must hold up no other; it is stored with the schedule
        message = error.message if isinstance(error, OffloadError) else repr(error)
        return Plan(schedule, [], [], [], None, message)  # a zone may have left the tz database
    if next_at_ms is not None and schedule.ends_at_ms is not None and next_at_ms > schedule.ends_at_ms:
        next_at_ms = None
    missed_before = now_ms - int(settings.get().schedule_missed_s * 1000)
    missed = [at for at in times if at < missed_before]
    due = times[len(missed) :]
    made_up = [] if full else _made_up(schedule, missed, just_due=bool(due))
    return Plan(schedule, missed[: len(missed) - len(made_up)], made_up, due, next_at_ms)


def _times(schedule: Schedule, first_ms: int, until_ms: int) -> list[int]:
    """Return the due times from the planned one on; mostly that one alone, which many schedules share."""
    following = cron.next_after(schedule.cron, schedule.zone, first_ms)
    if following is None or following > until_ms:
        return [first_ms] if first_ms <= until_ms else []
    return cron.occurrences_between(schedule.cron, schedule.zone, first_ms - 1, until_ms, _COUNTED_AT_ONCE)


def _made_up(schedule: Schedule, missed: list[int], *, just_due: bool) -> list[int]:
    """Return the missed due times that run after all, the latest ones."""
    if schedule.catch_up == "all":
        return missed[-schedule.catch_up_max :]
    if schedule.catch_up == "last" and not just_due:
        return missed[-1:]
    return []


def _apply(tx: Transaction, plan: Plan, now_ms: int) -> int:
    """Move a plan on and enqueue what it holds; return how many, 0 when another beat was first."""
    schedule = plan.schedule
    if not schedules.advance(tx, schedule, plan.next_at_ms):
        return 0
    if plan.fault:
        schedules.update(tx, schedule.id, {"enabled": 0})
        schedules.note_change(tx, schedule.id, SYSTEM.name, "stopped", now_ms, {"reason": plan.fault})
        return 0
    skipped = [_row(schedule, at, now_ms, "skipped", reason=schedules.MISSED) for at in plan.skipped]
    schedules.add_occurrences(tx, skipped)
    made_up = [_occur(tx, schedule, at, now_ms, caught_up=True) for at in plan.made_up]
    if plan.skipped or plan.made_up:
        _tell_missed(tx, plan, made_up)
    on_time = [_occur(tx, schedule, at, now_ms, caught_up=False) for at in plan.due]
    return made_up.count("enqueued") + on_time.count("enqueued")


def _tell_missed(tx: Transaction, plan: Plan, made_up: list[str]) -> None:
    """Tell what was missed; made up is what has a task now, waiting what the overlap rule holds back."""
    schedule, missed = plan.schedule, [*plan.skipped, *plan.made_up]
    data = {
        "schedule_id": schedule.id,
        "name": schedule.name,
        "n_missed": len(missed),
        "n_made_up": made_up.count("enqueued"),
        "n_waiting": made_up.count("waiting"),
        "first_due": clock.iso(min(missed)),
        "last_due": clock.iso(max(missed)),
    }
    lifecycle.emit(tx, "schedule.missed", data, owner=None if schedule.system else schedule.owner)


def _occur(tx: Transaction, schedule: Schedule, due_at_ms: int, now_ms: int, *, caught_up: bool) -> str:
    """Record an occurrence and enqueue its task if the overlap rule lets it; return what became of it."""
    decision, reason = _decide(tx, schedule)
    row = _row(schedule, due_at_ms, now_ms, decision, caught_up=caught_up, reason=reason)
    if not schedules.add_occurrence(tx, row):
        return "known"
    if decision != "enqueued":
        return decision
    return "enqueued" if _submit(tx, schedule, due_at_ms, row["run_at_ms"], now_ms) else "refused"


def _decide(tx: Transaction, schedule: Schedule) -> tuple[str, str]:
    if schedule.overlap == "allow":
        return "enqueued", ""
    active = schedules.is_active(tx, schedule.id)
    if schedule.overlap == "skip":
        return ("overlapped", "the task before had not ended") if active else ("enqueued", "")
    n_waiting = schedules.n_waiting(tx, schedule.id)
    if n_waiting >= settings.get().schedule_waiting_max:
        return "overlapped", f"{n_waiting} occurrences waited already"
    return ("waiting", "the task before had not ended") if active or n_waiting else ("enqueued", "")


def _submit(tx: Transaction, schedule: Schedule, due_at_ms: int, run_at_ms: int, now_ms: int) -> bool:
    """Enqueue the task of a recorded occurrence, or record why it was refused."""
    try:
        with tx.part():
            done = lifecycle.submit_in(
                tx,
                owner_of(tx, schedule),
                schedule.type,
                json.loads(schedule.payload),
                run_at_ms=run_at_ms if run_at_ms > now_ms else None,
                priority=schedule.priority,
                correlation_id=log.new_correlation_id(),
                schedule_id=schedule.id,
            )
    except LockedOrFull:
        raise
    except Exception as error:  # noqa: BLE001 - one schedule's trouble must not hold up all others; logged
        reason = _reason(error)
        schedules.decide(tx, schedule.id, due_at_ms, "refused", task_id=None, reason=reason)
        logger.warning("occurrence refused", schedule=schedule.id, reason=reason)
        return False
    schedules.decide(tx, schedule.id, due_at_ms, "enqueued", task_id=done.task.id)
    return True


def _reason(error: Exception) -> str:
    if not isinstance(error, OffloadError):
        return f"Could not be submitted: {error!r}."
    faults = "; ".join(f"{path}: {text}" for path, text in getattr(error, "fields", {}).items())
    return f"{error.message} {faults}".strip()


def _release(now_ms: int) -> int:
    """Enqueue the oldest waiting occurrence of each schedule whose tasks have all ended; return how many."""
    found = schedules.waiting(db.main(), _READ_AT_ONCE)
    if not found:
        return 0
    with db.main().write() as tx:
        return sum(_release_one(tx, row["schedule_id"], row["due_at_ms"], now_ms) for row in found)


def _release_one(tx: Transaction, schedule_id: str, due_at_ms: int, now_ms: int) -> bool:
    schedule = schedules.get(tx, schedule_id)
    if schedule is None or not schedule.enabled or schedules.is_active(tx, schedule_id):
        return False
    if not schedules.still_waits(tx, schedule_id, due_at_ms):
        return False
    return _submit(tx, schedule, due_at_ms, now_ms, now_ms)


def _row(
    schedule: Schedule,
    due_at_ms: int,
    now_ms: int,
    decision: str,
    *,
    caught_up: bool = False,
    reason: str = "",
) -> dict[str, Any]:
    return {
        "schedule_id": schedule.id,
        "due_at_ms": due_at_ms,
        "run_at_ms": due_at_ms + jitter_ms(schedule, due_at_ms),
        "decided_at_ms": now_ms,
        "decision": decision,
        "caught_up": int(caught_up),
        "reason": reason,
    }


@lru_cache(maxsize=8)
def _ensure_builtin(_data_dir: Path) -> None:
    """Store the clean-up's schedule where there is none; every night at 03:15 UTC."""
    now_ms = clock.now_ms()
    if registry.find("cleanup") is None:
        return
    window = ("15 3 * * *", "UTC")
    row = {
        **dict.fromkeys(schedules.COLUMNS),
        "id": "cleanup",
        "name": "Clean-up",
        "cron": window[0],
        "zone": window[1],
        "type": "cleanup",
        "payload": "{}",
        "owner": SYSTEM.name,
        "enabled": 1,
        "catch_up": "last",
        "catch_up_max": 1,
        "overlap": "skip",
        "jitter_s": 0,
        "note": "Removes what is older than the retention settings say.",
        "system": 1,
        "next_at_ms": cron.next_after(*window, now_ms),
        "created_at_ms": now_ms,
        "changed_at_ms": now_ms,
    }
    with db.main().write() as tx:
        schedules.insert_builtin(tx, row)
