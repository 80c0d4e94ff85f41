"""One call as a task: admit it, make it, record it."""

import json
from http import HTTPStatus
from typing import Any

from engine import clock, settings
from engine.errors import Deferred, PermanentFailure, RateLimited, TaskCancelled
from engine.lib.http import Answer, CallFailed, Limits
from engine.records import calls, db
from engine.records.db import Transaction
from engine.records.tasks import Task
from engine.registry import TaskHandle
from engine.services.calls import answers, cache, making
from engine.services.calls.model import ApiCall, protect, reveal
from engine.words import Actor

UNKNOWN = (
    "outcome_unknown",
    "The worker died after the request had been sent, so it is not sent again: it may have had its effect.",
)


def admit(tx: Transaction, actor: Actor, call: ApiCall) -> ApiCall:
    """Count a call against the limit of its owner and address, and seal its secrets; runs in the submit.

    A call that a kept answer will serve is free. Raises RateLimited with the time when the limit opens.
    """
    full = reveal(actor.name, call)
    free = cache.holds(actor.name, full)
    if not free:
        count(tx, actor.name, full)
    return protect(actor.name, full).model_copy(update={"free": free})


def count(tx: Transaction, owner: str, call: ApiCall) -> None:
    """Count a call; raise RateLimited when the hour's limit is reached."""
    limit = settings.get().calls_per_hour
    opens_ms = calls.count(tx, owner, call.target, limit=limit, now_ms=clock.now_ms())
    if opens_ms is not None:
        message = f"{limit} calls an hour to this address are reached; it opens at {clock.iso(opens_ms)}."
        raise RateLimited(message, retry_at_ms=opens_ms)


def count_late(owner: str, call: ApiCall) -> None:
    """Count a call whose kept answer ended before its task began."""
    try:
        with db.main().write() as tx:
            count(tx, owner, call)
    except RateLimited as error:
        raise PermanentFailure(error.message, code=error.code) from error


def store(tx: Transaction, task: Task, call: ApiCall) -> None:
    """Write the history row of a new call."""
    calls.add(
        tx,
        task.id,
        owner=task.owner,
        method=call.method,
        url=call.shown_url,
        host=call.host,
        now_ms=task.created_at_ms,
    )


def again(tx: Transaction, task: Task) -> None:
    """Count a call that is run again by hand; raises RateLimited."""
    count(tx, task.owner, reveal(task.owner, ApiCall.model_validate_json(task.payload)))


def after_death(task: Task) -> tuple[str, str] | None:
    """Decide about a call whose worker died: never send twice what must not be (DESIGN, invariant 1)."""
    call = ApiCall.model_validate_json(task.payload)
    return UNKNOWN if task.sent_at_ms is not None and not call.may_be_repeated else None


def perform(payload: ApiCall, task: TaskHandle) -> dict[str, Any]:
    """Make the call of a task; an answer of 400 or above fails the task, with the result beside it."""
    call = reveal(task.owner, payload)
    if kept := cache.find(task.owner, call):
        return _from_cache(kept, task)
    if payload.free:
        count_late(task.owner, call)
    n_tries, spent_ms = calls.tries(db.main(), task.id) if task.attempt > 1 else (0, 0)
    course = making.Course(n_tries, spent_ms / 1000)
    try:
        answer = making.make(
            call,
            course,
            limits=Limits.from_settings(call.timeout_s),
            cancelled=lambda: task.cancelled,
            on_send=None if call.may_be_repeated else task.mark_sent,
            log=task.log,
        )
    except making.Later as later:
        with db.main().write() as tx:
            calls.put_off(tx, task.id, n_tries=course.n_tries, spent_ms=int(course.spent_s * 1000))
        raise Deferred(f"Try {course.n_tries} failed; {later}.", delay_s=later.wait_s) from None
    except CallFailed as error:
        raise _failed(task.id, course, error) from error
    return _answered(task, call, course, answer)


def _answered(task: TaskHandle, call: ApiCall, course: making.Course, answer: Answer) -> dict[str, Any]:
    result = answers.document(answer, course.n_tries)
    kept = cache.keep(task.owner, call, answer.headers, result)
    _record(task.id, course, result, None if result["ok"] else f"http_{answer.status}")
    if result["ok"]:
        return {**result, "kept": kept}
    error = PermanentFailure(f"The server answered {_phrase(answer.status)}.", code=f"http_{answer.status}")
    error.result = result
    raise error


def _failed(task_id: str, course: making.Course, error: CallFailed) -> Exception:
    _record(task_id, course, {}, error.code)
    if error.code == "cancelled":
        return TaskCancelled()
    code = "timed_out" if error.code == "timeout" else error.code
    return PermanentFailure(error.message, code=code)


def _from_cache(kept: cache.Kept, task: TaskHandle) -> dict[str, Any]:
    result = {
        **kept.document,
        "from_cache": True,
        "cached_at": clock.iso(kept.created_at_ms),
        "cached_until": clock.iso(kept.expires_at_ms),
    }
    _record(task.id, making.Course(), result, None if result["ok"] else f"http_{result['status']}")
    if not result["ok"]:
        error = PermanentFailure(
            f"The server answered {_phrase(result['status'])}.", code=f"http_{result['status']}"
        )
        error.result = result
        raise error
    return result


def _record(task_id: str, course: making.Course, result: dict[str, Any], error_code: str | None) -> None:
    values = {
        "finished_at_ms": clock.now_ms(),
        "n_tries": course.n_tries,
        "spent_ms": int(course.spent_s * 1000),
        "status": result.get("status"),
        "error_code": error_code,
        "cached": int(result.get("from_cache", False)),
        "n_bytes": result.get("n_bytes"),
        "timing": json.dumps(result["timing"]) if "timing" in result else None,
    }
    with db.main().write() as tx:
        calls.finish(tx, task_id, values)


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
