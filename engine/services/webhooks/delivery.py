"""Deliver one event to one target: sign, send, record, and decide what comes next."""

import random
from dataclasses import dataclass

from engine import clock, log, settings
from engine.errors import Deferred, OffloadError, PermanentFailure, TaskCancelled, TransientFailure
from engine.lib import addresses, http, signing
from engine.lib.http import Answer, CallFailed, Limits
from engine.lib.retry_after import retry_after_s
from engine.lifecycle import hooks
from engine.records import db, webhooks
from engine.records.db import Row, Transaction
from engine.registry import TaskHandle

KEPT_BYTES = 2_048
"""Bytes of the answer kept for the owner."""
PER_HOST = 2
"""Deliveries to one host at a time: a slow one must not hold all threads."""
_SLOW_MS = 2_000
"""A host whose latest answer took longer gets one place only."""
_JITTER = 0.1
_LONGEST_WAIT_S = 3_600.0
_SLACK_MS = 5_000

logger = log.get(__name__)


@dataclass(frozen=True)
class _Tried:
    """What came of an attempt: a status, or why there is none."""

    status: int | None
    duration_ms: int
    error: tuple[str, str] | None = None
    answer: str | None = None
    retry_after_s: float | None = None
    final: bool = False
    """Trying again cannot help."""


def deliver(delivery_id: str, task: TaskHandle) -> dict[str, object]:
    """Make the next attempt of a delivery; raise TransientFailure with the wait until the one after.

    Raises PermanentFailure when it was the last, and Deferred while its host is busy with others.
    """
    row = webhooks.delivery(db.main(), delivery_id)
    if row is None or row["state"] != "waiting":
        return {"delivered": False, "why": "there is nothing to deliver any more"}
    try:
        url, secrets = _target(row)
    except OffloadError as error:
        _drop(row, (error.code, error.message))
        raise PermanentFailure(error.message, code=error.code) from error
    attempt = _begin(row, url)
    tried = _send(row, url, secrets, task)
    return _settle(row, attempt, tried)


def _target(row: Row) -> tuple[str, list[str]]:
    """Return the URL as it is now, and the secrets that sign.

    Raises PermanentFailure when the target is gone or switched off.
    """
    open_ = hooks.sealer().open
    if row["endpoint_id"] is None:
        own = webhooks.own_webhook(db.main(), row["target"])
        if own is None:
            raise PermanentFailure("The task this webhook belonged to is gone.", code="target_gone")
        return own["url"], [open_(own["secret"], own["id"])]
    endpoint = webhooks.endpoint(db.main(), row["endpoint_id"])
    if endpoint is None:
        raise PermanentFailure("The endpoint was removed.", code="target_gone")
    if not endpoint.active and row["event"] != "webhook.test":
        raise PermanentFailure("The endpoint is switched off.", code="endpoint_off")
    sealed = [endpoint.secret]
    if endpoint.previous_secret and (endpoint.previous_until_ms or 0) > clock.now_ms():
        sealed.append(endpoint.previous_secret)
    return endpoint.url, [open_(text, endpoint.id) for text in sealed]


def _begin(row: Row, url: str) -> int:
    """Take a place at the host and open an attempt; raise Deferred when all places are taken."""
    now_ms, host = clock.now_ms(), addresses.check_url(url).host
    busy_until_ms = now_ms + int(settings.get().webhook_timeout_s * 1000) + _SLACK_MS
    with db.main().write() as tx:
        if url != row["url"]:
            webhooks.move(tx, row["id"], url, host)
        if wait_s := _wait_for_place_s(tx, row["id"], host, url, now_ms):
            raise Deferred("Other deliveries to this host are on their way.", delay_s=wait_s)
        return webhooks.begin_attempt(tx, row["id"], now_ms=now_ms, busy_until_ms=busy_until_ms)


def _wait_for_place_s(tx: Transaction, delivery_id: str, host: str, url: str, now_ms: int) -> float:
    """Return how long to wait when the places at a host are taken; 0 when one is free.

    A URL that answered fast the last time waits for its own deliveries only, so that a slow endpoint does not
    hold up others that happen to live on the same host.
    """
    own_ms = webhooks.last_duration_ms(tx, host, url)
    last_ms = (webhooks.last_duration_ms(tx, host) or 0) if own_ms is None else own_ms
    beside = url if own_ms is not None and own_ms <= _SLOW_MS else None
    n_busy = webhooks.n_busy(tx, host, now_ms, beside=delivery_id, url=beside)
    if n_busy < (1 if last_ms > _SLOW_MS else PER_HOST):
        return 0.0
    queue_s = webhooks.n_waiting(tx, host) * last_ms / 1000
    return random.uniform(0.2, 0.4) + min(60.0, queue_s / PER_HOST / 2)  # noqa: S311 - spreads load


def _send(row: Row, url: str, secrets: list[str], task: TaskHandle) -> _Tried:
    body = row["body"].encode()
    signed = signing.headers(secrets, row["message_id"], clock.now_ms() // 1000, body)
    headers = {"Content-Type": "application/json", **signed}
    limits = Limits(settings.get().webhook_timeout_s, KEPT_BYTES, KEPT_BYTES, redirects=0, start_only=True)
    began = clock.elapsed()
    try:
        answer = http.send(http.Request("POST", url, headers, body), limits, cancelled=lambda: task.cancelled)
    except CallFailed as error:
        if error.code == "cancelled":
            _release(row)
            raise TaskCancelled from error
        duration_ms = int((clock.elapsed() - began) * 1000)
        blocked = error.code == "address_not_allowed"
        return _Tried(None, duration_ms, (error.code, error.message), final=blocked)
    return _judge(answer, int((clock.elapsed() - began) * 1000))


def _judge(answer: Answer, duration_ms: int) -> _Tried:
    text = answer.body.decode("utf-8", "replace")
    if 200 <= answer.status < 300:
        return _Tried(answer.status, duration_ms, answer=text)
    asked_s = retry_after_s(answer.header("retry-after"), clock.now_ms() / 1000)
    message = f"The endpoint answered {answer.status}."
    return _Tried(
        answer.status,
        duration_ms,
        (f"http_{answer.status}", message),
        text,
        retry_after_s=asked_s,
        final=answer.status == 410,
    )


def _settle(row: Row, attempt: int, tried: _Tried) -> dict[str, object]:
    """Record an attempt and what follows from it, in one transaction."""
    now_ms = clock.now_ms()
    delays = settings.get().webhook_delays
    exhausted = tried.final or row["n_failures"] >= len(delays)
    wait_s = 0.0 if exhausted or not tried.error else _wait_s(delays[row["n_failures"]], tried.retry_after_s)
    with db.main().write() as tx:
        webhooks.end_attempt(tx, row["id"], attempt, _attempt_values(tried))
        state = "delivered" if not tried.error else "failed" if exhausted else "waiting"
        webhooks.end_delivery(
            tx,
            row["id"],
            state,
            now_ms=now_ms,
            status=tried.status,
            error=tried.error,
            duration_ms=tried.duration_ms,
            failed=tried.error is not None,
            next_at_ms=now_ms + int(wait_s * 1000) if state == "waiting" else None,
        )
        if row["endpoint_id"]:
            _judge_endpoint(tx, row, tried, exhausted, now_ms)
    if not tried.error:
        return {"delivered": True, "status": tried.status, "attempt": attempt}
    code, message = tried.error
    if exhausted:
        raise PermanentFailure(message, code=code)
    raise TransientFailure(message, code=code, retry_after_s=wait_s)


def _wait_s(delay_s: float, asked_s: float | None) -> float:
    """Return the wait before the next attempt; the endpoint may lengthen it, to an hour at most."""
    spread_s = delay_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, guards nothing
    return max(spread_s, min(asked_s or 0.0, _LONGEST_WAIT_S))


def _judge_endpoint(tx: Transaction, row: Row, tried: _Tried, exhausted: bool, now_ms: int) -> None:
    """Switch an endpoint off that says it is gone, or that has failed too often in a row."""
    if not tried.error:
        webhooks.note_success(tx, row["endpoint_id"])
        return
    if not exhausted:
        return
    n_failed, most = webhooks.note_exhausted(tx, row["endpoint_id"]), settings.get().webhook_disable_after
    reason = ""
    if tried.status == 410:
        reason = "it answered 410 Gone"
    elif n_failed >= most:
        reason = f"{n_failed} deliveries in a row failed for good; the last: {tried.error[1]}"
    if reason and webhooks.disable(tx, row["endpoint_id"], reason, now_ms):
        logger.warning("webhook endpoint switched off", endpoint=row["endpoint_id"], reason=reason)


def _drop(row: Row, error: tuple[str, str]) -> None:
    with db.main().write() as tx:
        webhooks.end_delivery(tx, row["id"], "dropped", now_ms=clock.now_ms(), error=error, failed=False)


def _release(row: Row) -> None:
    with db.main().write() as tx:
        webhooks.end_delivery(tx, row["id"], "waiting", now_ms=clock.now_ms(), failed=False)


def _attempt_values(tried: _Tried) -> dict[str, object]:
    return {
        "duration_ms": tried.duration_ms,
        "status": tried.status,
        "error_code": tried.error[0] if tried.error else None,
        "error_message": tried.error[1] if tried.error else None,
        "answer": tried.answer,
    }
