"""The legal moves between task states, and the timeline row each leaves."""

from collections.abc import Mapping

from engine.records import attempts
from engine.records.db import Transaction
from engine.words import TaskState as S

LEGAL: Mapping[S | None, frozenset[S]] = {
    None: frozenset({S.SCHEDULED, S.QUEUED}),
    S.SCHEDULED: frozenset({S.QUEUED, S.CANCELLED, S.EXPIRED}),
    S.QUEUED: frozenset({S.RUNNING, S.CANCELLED, S.EXPIRED}),
    S.RUNNING: frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.RETRYING, S.QUEUED}),
    S.RETRYING: frozenset({S.QUEUED, S.CANCELLED, S.EXPIRED}),
    S.FAILED: frozenset({S.QUEUED}),
    S.CANCELLED: frozenset({S.QUEUED}),
    S.EXPIRED: frozenset({S.QUEUED}),
    S.SUCCEEDED: frozenset(),
}


def note(
    tx: Transaction, task_id: str, before: S | None, after: S, *, actor: str, now_ms: int, reason: str = ""
) -> None:
    """Write a move to the task's timeline; raise ValueError for one that is not legal."""
    if after not in LEGAL[before]:
        raise ValueError(f"a task never goes from {before} to {after}")
    attempts.note(tx, task_id, before, after, actor=actor, now_ms=now_ms, reason=reason)
