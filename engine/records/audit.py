"""The audit trail: one row for every action of a person or token."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from engine import clock, log
from engine.records import db
from engine.records.db import Transaction
from engine.words import Actor

BEGUN = {"outcome": "begun"}
"""Detail of an act that may not have taken place: its process died in it, or could not write the end."""


def add(tx: Transaction, actor: Actor, action: str, object_: str, detail: Mapping[str, object] = {}) -> int:
    """Record that `actor` did `action` (`task.cancel`) to `object_` (a task id, a user name); return its id.

    `detail` is stored as JSON; the caller leaves secrets out.
    """
    row_id = tx.value(
        """insert into audit (at_ms, actor, via, action, object, detail, correlation_id)
           values (:at_ms, :actor, :via, :action, :object, :detail, :correlation_id) returning id""",
        at_ms=clock.now_ms(),
        actor=actor.name,
        via=actor.via,
        action=action,
        object=object_,
        detail=_json(detail),
        correlation_id=log.correlation_id(),
    )
    return int(row_id)


@contextmanager
def around(
    actor: Actor, action: str, object_: str, detail: Mapping[str, object] = {}
) -> Iterator[dict[str, object]]:
    """Record an act whose rows lie in another file: before it, as begun, and afterwards, as done.

    Neither file can be written with the other. An act that is refused or fails takes its row back. The block
    may add to the detail what came of it.
    """
    found = dict(detail)
    with db.main().write() as tx:
        row_id = add(tx, actor, action, object_, found | BEGUN)
    try:
        yield found
    except Exception:
        with suppress(db.LockedOrFull), db.main().write() as tx:
            tx.run("delete from audit where id = :id", id=row_id)
        raise
    with suppress(db.LockedOrFull), db.main().write() as tx:
        tx.run("update audit set detail = :detail where id = :id", id=row_id, detail=_json(found))


def remove_before(tx: Transaction, at_ms: int, *, limit: int) -> int:
    """Delete at most `limit` rows older than `at_ms`, oldest first; return how many."""
    return tx.run(
        """delete from audit where id in
           (select id from audit where at_ms < :at_ms order by at_ms, id limit :limit)""",
        at_ms=at_ms,
        limit=limit,
    )


def _json(detail: Mapping[str, object]) -> str:
    return json.dumps(detail, ensure_ascii=False, separators=(",", ":"), default=str) if detail else "{}"
