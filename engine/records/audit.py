"""The audit trail: one row for every action of a person or token."""

import json
from collections.abc import Mapping

from engine import clock, log
from engine.records.db import Transaction
from engine.words import Actor


def add(tx: Transaction, actor: Actor, action: str, object_: str, detail: Mapping[str, object] = {}) -> None:
    """Record that `actor` did `action` (`task.cancel`) to `object_` (a task id, a user name).

    `detail` is stored as JSON; the caller leaves secrets out.
    """
    tx.run(
        """insert into audit (at_ms, actor, via, action, object, detail, correlation_id)
           values (:at_ms, :actor, :via, :action, :object, :detail, :correlation_id)""",
        at_ms=clock.now_ms(),
        actor=actor.name,
        via=actor.via,
        action=action,
        object=object_,
        detail=json.dumps(detail, ensure_ascii=False, separators=(",", ":"), default=str) if detail else "{}",
        correlation_id=log.correlation_id(),
    )


def remove_before(tx: Transaction, at_ms: int, *, limit: int) -> int:
    """Delete at most `limit` rows older than `at_ms`, oldest first; return how many."""
    return tx.run(
        """delete from audit where id in
           (select id from audit where at_ms < :at_ms order by at_ms, id limit :limit)""",
        at_ms=at_ms,
        limit=limit,
    )
