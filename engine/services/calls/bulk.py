"""Up to fifty calls in one task: in parallel, one deadline, results in order, no failure fails another."""

import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import replace
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, field_validator

from engine import clock, log, settings
from engine.errors import InvalidInput, OffloadError, RateLimited
from engine.lib import http
from engine.lib.http import Limits
from engine.lib.storable import storable
from engine.records import calls, db
from engine.records.db import Row, Transaction
from engine.records.tasks import Task
from engine.registry import Body, TaskHandle, field_messages
from engine.services.calls import answers, cache, making, single
from engine.services.calls.model import ApiCall, protect, reveal
from engine.words import Actor

PER_HOST = 8
"""Calls in flight to one host at a time, so that fifty at once do not hit one site."""
_ITEM_BYTES = 1024 * 1024
"""Largest answer of one item: fifty of the single call's size would fill the memory."""
_LOOK_S = 0.1

logger = log.get(__name__)


class CallBulk(Body):
    """Several calls, made in parallel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calls: list[dict[str, Any]] = Field(min_length=1, description="The calls, each as for a single one")
    timeout_s: float | None = Field(None, gt=0, le=120, description="Longest time for all, in seconds")
    refused: dict[int, dict[str, Any]] = Field(
        default_factory=dict, description="Set by Offload: the calls that are not made, with their error"
    )

    @field_validator("calls")
    @classmethod
    def _not_too_many(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        most = settings.get().call_bulk_max
        if len(value) > most:
            raise ValueError(f"at most {most} calls in one bulk; these are {len(value)}")
        return value


def describe(bulk: CallBulk) -> str:
    """Return a line about a bulk."""
    return f"{len(bulk.calls)} calls"


def protect_all(owner: str, bulk: CallBulk) -> CallBulk:
    """Seal the secrets of every call; raise InvalidInput for one that is not valid."""
    sealed, fields = [], {}
    for index, given in enumerate(bulk.calls):
        try:
            sealed.append(_dump(protect(owner, _parse(given))))
        except InvalidInput as error:
            fields.update({f"calls.{index}.{path}": text for path, text in error.fields.items()})
    if fields:
        raise InvalidInput("Some of the calls are not valid.", fields=fields)
    return bulk.model_copy(update={"calls": sealed})


def admit(tx: Transaction, actor: Actor, bulk: CallBulk) -> CallBulk:
    """Admit each call by itself; those that are refused are listed with their error.

    Raises when none is left: RateLimited if that is why, InvalidInput otherwise.
    """
    admitted: list[dict[str, Any]] = []
    refused: dict[int, dict[str, Any]] = {}
    errors: list[OffloadError] = []
    for index, given in enumerate(bulk.calls):
        try:
            admitted.append(_dump(single.admit(tx, actor, _parse(given))))
        except (InvalidInput, RateLimited) as error:
            errors.append(error)
            refused[index] = _refusal(error)
            admitted.append(_shown(given))
    if len(refused) == len(bulk.calls):
        raise _all_refused(errors)
    return bulk.model_copy(update={"calls": admitted, "refused": refused})


def store(tx: Transaction, task: Task, bulk: CallBulk) -> None:
    """Write the item rows of a new bulk."""
    calls.add_items(tx, [_row(task, index, given, bulk) for index, given in enumerate(bulk.calls)])


def again(tx: Transaction, task: Task) -> None:
    """Count the calls still to be made of a bulk that is run again by hand; raises RateLimited."""
    for row in calls.items(tx, task.id):
        if row["state"] == "waiting":
            single.count(tx, task.owner, reveal(task.owner, _parse(json.loads(row["request"]))))


def perform(bulk: CallBulk, task: TaskHandle) -> dict[str, Any]:
    """Make the calls that have not been made, and return the results of all in their order."""
    _settle_unknown(task.id)
    waiting = [row for row in calls.items(db.main(), task.id) if row["state"] == "waiting"]
    _Run(task, bulk.timeout_s or settings.get().call_total_s, len(bulk.calls)).make_all(waiting)
    return _result(task.id)


class _Run:
    """The calls of one attempt in flight."""

    def __init__(self, task: TaskHandle, timeout_s: float, n_items: int) -> None:
        self._task = task
        self._deadline = clock.elapsed() + min(timeout_s, settings.get().call_total_s)
        self._n_items = n_items
        self._per_host: Counter[str] = Counter()
        self._flying: dict[Future[dict[str, Any]], Row] = {}

    def make_all(self, rows: list[Row]) -> None:
        n_done = self._n_items - len(rows)
        with ThreadPoolExecutor(settings.get().call_bulk_parallel, "call") as pool:
            while rows or self._flying:
                self._task.check()  # the calls in flight ask the same and end by themselves
                rows = self._launch(pool, rows)
                landed = wait(self._flying, _LOOK_S, FIRST_COMPLETED).done
                for future in landed:
                    self._land(future)
                n_done += len(landed)
                self._task.progress(int(100 * n_done / self._n_items), f"{n_done} of {self._n_items}")

    def _launch(self, pool: ThreadPoolExecutor, rows: list[Row]) -> list[Row]:
        """Start what may fly now; return what has to wait."""
        held = []
        for row in rows:
            full = len(self._flying) >= settings.get().call_bulk_parallel
            if full or self._per_host[row["host"]] >= PER_HOST:
                held.append(row)
                continue
            self._per_host[row["host"]] += 1
            self._flying[pool.submit(copy_context().run, self._make, row)] = row
        return held

    def _land(self, future: Future[dict[str, Any]]) -> None:
        row = self._flying.pop(future)
        self._per_host[row["host"]] -= 1
        with db.main().write() as tx:
            calls.finish_item(tx, self._task.id, row["position"], future.result())

    def _make(self, row: Row) -> dict[str, Any]:
        began, course = clock.elapsed(), making.Course()
        try:
            document = self._answer(row, course)
            code = None if document["ok"] else f"http_{document['status']}"
            message = None if document["ok"] else f"The server answered {document['status']}."
        except (OffloadError, making.Later, db.LockedOrFull) as error:
            document, code, message = {}, getattr(error, "code", "retry_later"), str(error)
            if code == "cancelled" and not self._task.cancelled:
                code, message = "deadline", "The time for all calls was over."
        except Exception as error:  # an edge: no call may fail the others
            logger.exception("call failed", task=self._task.id, index=row["position"])
            document, code, message = {}, "unexpected_error", storable(f"{type(error).__name__}: {error}")
        finally:
            db.main().close()  # of this thread of the pool, which may have opened one to mark what it sends
            db.cache().close()
        return _ended(course, began, document, code, message)

    def _answer(self, row: Row, course: making.Course) -> dict[str, Any]:
        call = reveal(self._task.owner, _parse(json.loads(row["request"])))
        if kept := cache.find(self._task.owner, call):
            return {**kept.document, "from_cache": True, "cached_at": clock.iso(kept.created_at_ms)}
        if call.free:
            single.count_late(self._task.owner, call)
        limits = replace(
            Limits.from_settings(call.timeout_s), raw_bytes=_ITEM_BYTES, inflated_bytes=_ITEM_BYTES
        )
        answer = making.make(
            call,
            course,
            limits=limits,
            cancelled=lambda: self._task.cancelled or clock.elapsed() >= self._deadline,
            on_send=None if call.may_be_repeated else lambda: self._mark(row),
        )
        document = answers.document(answer, course.n_tries)
        cache.keep(self._task.owner, call, answer.headers, document)
        return document

    def _mark(self, row: Row) -> None:
        with db.main().write() as tx:
            calls.mark_item_sent(tx, self._task.id, row["position"], clock.now_ms())


def _settle_unknown(task_id: str) -> None:
    """End the items an earlier attempt may have sent and that must not be sent twice."""
    code, message = single.UNKNOWN
    with db.main().write() as tx:
        for row in calls.items(tx, task_id):
            if row["state"] == "waiting" and row["sent_at_ms"] is not None:
                values = _ended(making.Course(1), clock.elapsed(), {}, code, message)
                calls.finish_item(tx, task_id, row["position"], values)


def _ended(
    course: making.Course, began: float, document: dict[str, Any], code: str | None, message: str | None
) -> dict[str, Any]:
    result = json.dumps(document, ensure_ascii=False) if document else None
    return {
        "state": "failed" if code else "succeeded",
        "n_tries": course.n_tries,
        "finished_at_ms": clock.now_ms(),
        "duration_ms": int((clock.elapsed() - began) * 1000),
        "status": document.get("status"),
        "error_code": code,
        "error_message": message,
        "result": result,
    }


def _result(task_id: str) -> dict[str, Any]:
    items = [item_document(row) for row in calls.items(db.main(), task_id)]
    states = Counter(item["state"] for item in items)
    return {
        "n_items": len(items),
        "n_succeeded": states["succeeded"],
        "n_failed": states["failed"],
        "n_refused": states["refused"],
        "items": items,
    }


def item_document(row: Row) -> dict[str, Any]:
    """Return the JSON shape of an item."""
    error = {"code": row["error_code"], "message": row["error_message"]} if row["error_code"] else None
    return {
        "index": row["position"],
        "method": row["method"],
        "url": row["url"],
        "state": row["state"],
        "status": row["status"],
        "error": error,
        "duration_ms": row["duration_ms"],
        "result": json.loads(row["result"]) if row["result"] else None,
    }


def _row(task: Task, index: int, given: Mapping[str, Any], bulk: CallBulk) -> dict[str, Any]:
    error = bulk.refused.get(index)
    call = None if error else _parse(given)
    return {
        "task_id": task.id,
        "position": index,
        "method": call.method if call else str(given.get("method", "GET"))[:10],
        "url": call.shown_url if call else str(given.get("url", ""))[:2_000],
        "host": call.host if call else "",
        "request": json.dumps(given, ensure_ascii=False) if call else None,
        "state": "waiting" if call else "refused",
        "error_code": error["code"] if error else None,
        "error_message": error["message"] if error else None,
    }


def _parse(given: Mapping[str, Any]) -> ApiCall:
    try:
        return ApiCall.model_validate(given)
    except ValidationError as error:
        raise InvalidInput("The call is not valid.", fields=field_messages(error)) from error


def _dump(call: ApiCall) -> dict[str, Any]:
    return call.model_dump(mode="json", exclude_defaults=True)


def _shown(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a refused call what names it; the rest may hold secrets in places nobody looked at."""
    url = http.mask_url(str(given.get("url") or "").partition("?")[0])
    return {"method": str(given.get("method", "GET"))[:10], "url": url[:2_000]}


def _refusal(error: OffloadError) -> dict[str, Any]:
    message = error.message
    if isinstance(error, InvalidInput) and error.fields:
        message = "; ".join(f"{path}: {text}" for path, text in error.fields.items())
    return {"code": error.code, "message": message}


def _all_refused(errors: list[OffloadError]) -> OffloadError:
    limited = [error for error in errors if isinstance(error, RateLimited)]
    if len(limited) == len(errors):
        return limited[0]
    fields = {}
    for index, error in enumerate(errors):
        inner = error.fields if isinstance(error, InvalidInput) else {}
        fields.update({f"calls.{index}.{path}": text for path, text in inner.items()})
    return InvalidInput("None of the calls can be made.", fields=fields)
