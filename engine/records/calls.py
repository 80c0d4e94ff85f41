"""Rows of API calls, of the items of a bulk, and of the rate limit. Each verb is one or two statements."""

from collections.abc import Iterable, Mapping
from typing import Any

from engine.records.db import Reader, Row, Transaction

HOUR_MS = 3_600_000
_CLOCK_SLACK_MS = 60_000
"""Counts farther in the future were written before the clock was set back; they must not block for ever."""


def add(tx: Transaction, task_id: str, *, owner: str, method: str, url: str, host: str, now_ms: int) -> None:
    """Write the row of a new call."""
    tx.run(
        """insert into calls (task_id, owner, method, url, host, created_at_ms)
           values (:id, :owner, :method, :url, :host, :now)""",
        id=task_id,
        owner=owner,
        method=method,
        url=url,
        host=host,
        now=now_ms,
    )


def tries(reader: Reader, task_id: str) -> tuple[int, int]:
    """Return how often a call that goes on was tried so far, and the milliseconds that took."""
    row = reader.one(
        "select n_tries, spent_ms from calls where task_id = :id and finished_at_ms is null", id=task_id
    )
    return (row["n_tries"], row["spent_ms"]) if row else (0, 0)


def put_off(tx: Transaction, task_id: str, *, n_tries: int, spent_ms: int) -> None:
    """Remember the tries of a call that goes on later."""
    tx.run(
        """update calls set n_tries = :tries, spent_ms = :spent, finished_at_ms = null
           where task_id = :id""",
        id=task_id,
        tries=n_tries,
        spent=spent_ms,
    )


def finish(tx: Transaction, task_id: str, values: Mapping[str, Any]) -> None:
    """Write what came of a call."""
    tx.run(
        """update calls set finished_at_ms = :finished_at_ms, n_tries = :n_tries, spent_ms = :spent_ms,
               status = :status, error_code = :error_code, cached = :cached, n_bytes = :n_bytes,
               timing = :timing
           where task_id = :id""",
        id=task_id,
        **values,
    )


def add_items(tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the items of a new bulk."""
    tx.run_many(
        """insert into call_items (task_id, position, method, url, host, request, state, error_code,
               error_message)
           values (:task_id, :position, :method, :url, :host, :request, :state, :error_code,
               :error_message)""",
        rows,
    )


def items(reader: Reader, task_id: str) -> list[Row]:
    """Return the items of a bulk in their order."""
    return reader.read("select * from call_items where task_id = :id order by position", id=task_id)


def mark_item_sent(tx: Transaction, task_id: str, position: int, now_ms: int) -> None:
    """Record that an item's request is about to leave."""
    tx.run(
        "update call_items set sent_at_ms = :now where task_id = :id and position = :position",
        id=task_id,
        position=position,
        now=now_ms,
    )


def finish_item(tx: Transaction, task_id: str, position: int, values: Mapping[str, Any]) -> bool:
    """Write what came of an item; return False when that was written before."""
    changed = tx.run(
        """update call_items set state = :state, n_tries = :n_tries, finished_at_ms = :finished_at_ms,
               duration_ms = :duration_ms, status = :status, error_code = :error_code,
               error_message = :error_message, result = :result
           where task_id = :id and position = :position and state = 'waiting'""",
        id=task_id,
        position=position,
        **values,
    )
    return changed == 1


def count(tx: Transaction, owner: str, target: str, *, limit: int, now_ms: int) -> int | None:
    """Count a call; return None, or the time when the limit opens again."""
    tx.run(
        """delete from call_counts where owner = :owner and target = :target
               and (at_ms <= :old or at_ms > :future)""",
        owner=owner,
        target=target,
        old=now_ms - HOUR_MS,
        future=now_ms + _CLOCK_SLACK_MS,
    )
    row = tx.one(
        """select count(*) as n, min(at_ms) as oldest from call_counts
           where owner = :owner and target = :target""",
        owner=owner,
        target=target,
    )
    if row and row["n"] >= limit:
        return int(row["oldest"]) + HOUR_MS
    tx.run(
        "insert into call_counts (owner, target, at_ms) values (:owner, :target, :now)",
        owner=owner,
        target=target,
        now=now_ms,
    )
    return None


def remove_counts(tx: Transaction, before_ms: int, *, limit: int) -> int:
    """Delete at most `limit` counts older than a time; return how many."""
    return tx.run(
        """delete from call_counts where rowid in
           (select rowid from call_counts where at_ms < :before limit :n)""",
        before=before_ms,
        n=limit,
    )
