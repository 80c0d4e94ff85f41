"""Task rows: the record of a piece of work and its place in the queue. Each verb is one statement."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from engine import clock
from engine.records import flags
from engine.records.db import Reader, Row, Transaction, listed
from engine.words import TaskState

_PDF_LINKS = {"report": "/api/reports/{id}/pdf"}


@dataclass(frozen=True, slots=True)
class Task:
    """One row of `tasks`; columns as in `schema/tasks.py`."""

    seq: int
    id: str
    type: str
    state: TaskState
    payload: str
    payload_hash: str
    owner: str
    priority: int
    correlation_id: str
    idempotency_key: str | None
    parent_id: str | None
    schedule_id: str | None
    created_at_ms: int
    queued_at_ms: int | None
    due_at_ms: int
    retry_delay_ms: int | None
    expires_at_ms: int | None
    started_at_ms: int | None
    finished_at_ms: int | None
    attempt: int
    failures: int
    deaths: int
    max_attempts: int
    token: int
    worker_id: str | None
    lease_until_ms: int | None
    cancel_requested_at_ms: int | None
    cancel_requested_by: str | None
    sent_at_ms: int | None
    progress: int
    progress_note: str
    error_code: str | None
    error_message: str | None
    result: str | None

    @classmethod
    def from_row(cls, row: Row) -> "Task":
        """Make a task of a row of `select * from tasks`."""
        task = cls(**{name: row[name] for name in _COLUMNS})
        object.__setattr__(task, "state", TaskState(task.state))
        return task

    def shown_state(self, now_ms: int) -> TaskState:
        """Return the state as people see it: what is due counts as queued."""
        waits = self.state in (TaskState.SCHEDULED, TaskState.RETRYING)
        return TaskState.QUEUED if waits and self.due_at_ms <= now_ms else self.state

    def late(self, now_ms: int) -> bool:
        """Whether it is due and has not begun for longer than is usual."""
        if not self.state.waiting:
            return False
        queued = self.state is TaskState.QUEUED
        return flags.late((self.queued_at_ms or self.created_at_ms) if queued else self.due_at_ms, now_ms)

    def stalled(self, now_ms: int) -> bool:
        """Whether it runs without a heartbeat of its worker."""
        running = self.state is TaskState.RUNNING
        return running and (self.lease_until_ms or 0) < flags.stalled_below_ms(now_ms)

    def document(self) -> dict[str, Any]:
        """Return the JSON shape of a task, the same everywhere (DESIGN section 5)."""
        failed, now_ms = self.error_code is not None, clock.now_ms()
        return {
            "task_id": self.id,
            "type": self.type,
            "state": str(self.shown_state(now_ms)),
            "late": self.late(now_ms),
            "stalled": self.stalled(now_ms),
            "progress": self.progress,
            "progress_note": self.progress_note,
            "attempt": self.attempt,
            "max_attempts": self.max_attempts,
            "owner": self.owner,
            "created_at": clock.iso(self.created_at_ms),
            "started_at": clock.iso(self.started_at_ms),
            "finished_at": clock.iso(self.finished_at_ms),
            "error": {"code": self.error_code, "message": self.error_message} if failed else None,
            "result": json.loads(self.result) if self.result else None,
            "correlation_id": self.correlation_id,
            "cancel_requested": self.cancel_requested_at_ms is not None,
            "priority": self.priority,
            "run_at": clock.iso(self.due_at_ms or None),
            "parent_id": self.parent_id,
            "links": links(self.id, self.type),
        }


_COLUMNS = tuple(f.name for f in fields(Task))

_INSERT = """
    insert into tasks (id, type, state, payload, payload_hash, owner, priority, correlation_id,
        idempotency_key, parent_id, schedule_id, created_at_ms, queued_at_ms, due_at_ms, expires_at_ms,
        max_attempts)
    values (:id, :type, :state, :payload, :payload_hash, :owner, :priority, :correlation_id,
        :idempotency_key, :parent_id, :schedule_id, :created_at_ms, :queued_at_ms, :due_at_ms,
        :expires_at_ms, :max_attempts)
    on conflict do nothing
"""


def links(task_id: str, type_name: str) -> dict[str, str]:
    """Return the paths of a task."""
    base = f"/async-monitoring/tasks/{task_id}"
    found = {"status": f"{base}/status/", "stream": f"{base}/stream/", "cancel": f"{base}/cancel/"}
    if type_name in _PDF_LINKS:
        found["pdf"] = _PDF_LINKS[type_name].format(id=task_id)
    return found


def get(reader: Reader, task_id: str) -> Task | None:
    """Return one task."""
    row = reader.one("select * from tasks where id = :id", id=task_id)
    return Task.from_row(row) if row else None


def with_key(reader: Reader, owner: str, type_name: str, key: str) -> Task | None:
    """Return the task an owner submitted under an idempotency key."""
    row = reader.one(
        "select * from tasks where owner = :owner and type = :type and idempotency_key = :key",
        owner=owner,
        type=type_name,
        key=key,
    )
    return Task.from_row(row) if row else None


def insert(tx: Transaction, row: Mapping[str, Any]) -> bool:
    """Add a task; return False when its idempotency key is taken."""
    return tx.run(_INSERT, **row) == 1


def insert_many(tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> int:
    """Add many tasks in one go; return how many."""
    return tx.run_many(_INSERT, rows)


def promote_due(tx: Transaction, now_ms: int, limit: int) -> list[tuple[str, str]]:
    """Queue what has come due; return the ids with the state each had."""
    due = tx.read(
        """select seq, id, state from tasks
           where state in ('scheduled', 'retrying') and due_at_ms <= :now order by due_at_ms limit :limit""",
        now=now_ms,
        limit=limit,
    )
    tx.run_many(
        "update tasks set state = 'queued', queued_at_ms = due_at_ms where seq = :seq",
        [{"seq": row["seq"]} for row in due],
    )
    return [(row["id"], row["state"]) for row in due]


def any_due(reader: Reader, now_ms: int) -> bool:
    """Whether some scheduled or retrying task has come due."""
    sql = "select 1 from tasks where state in ('scheduled', 'retrying') and due_at_ms <= :now limit 1"
    return reader.one(sql, now=now_ms) is not None


def head(reader: Reader, types: Sequence[str]) -> Row | None:
    """Return the place of the next task among the given types: highest priority, then oldest.

    One seek per type, so the cost does not depend on how many tasks wait.
    """
    best: Row | None = None
    for name in types:
        row = reader.one(
            """select seq, id, priority, expires_at_ms from tasks where state = 'queued' and type = :type
               order by priority desc, seq limit 1""",
            type=name,
        )
        if row and (best is None or (-row["priority"], row["seq"]) < (-best["priority"], best["seq"])):
            best = row
    return best


def running_by_type(reader: Reader) -> dict[str, int]:
    """Count the running tasks of each type."""
    rows = reader.read("select type, count(*) as n from tasks where state = 'running' group by type")
    return {row["type"]: row["n"] for row in rows}


def claim(tx: Transaction, seq: int, *, worker_id: str, now_ms: int, lease_until_ms: int) -> Task | None:
    """Make a queued task running under a new token; return None when another worker was first."""
    row = tx.one(
        """update tasks set state = 'running', token = token + 1, attempt = attempt + 1,
               worker_id = :worker, lease_until_ms = :lease, started_at_ms = :now, finished_at_ms = null,
               cancel_requested_at_ms = null, cancel_requested_by = null, sent_at_ms = null,
               error_code = null, error_message = null
           where seq = :seq and state = 'queued' returning *""",
        seq=seq,
        worker=worker_id,
        now=now_ms,
        lease=lease_until_ms,
    )
    return Task.from_row(row) if row else None


def end(
    tx: Transaction,
    task: Task,
    state: TaskState,
    *,
    now_ms: int,
    failures: int,
    deaths: int,
    error: tuple[str, str] | None = None,
    result: str | None = None,
) -> bool:
    """End a running task under its token; return False when the lease was lost."""
    succeeded = state is TaskState.SUCCEEDED
    changed = tx.run(
        """update tasks set state = :state, finished_at_ms = :now, failures = :failures, deaths = :deaths,
               worker_id = null, lease_until_ms = null, error_code = :code, error_message = :message,
               result = :result, progress = case when :succeeded then 100 else progress end,
               progress_note = case when :succeeded then '' else progress_note end
           where seq = :seq and token = :token and state = 'running'""",
        seq=task.seq,
        token=task.token,
        state=state,
        now=now_ms,
        failures=failures,
        deaths=deaths,
        code=error[0] if error else None,
        message=error[1] if error else None,
        result=result,
        succeeded=int(succeeded),
    )
    return changed == 1


def give_back(
    tx: Transaction,
    task: Task,
    state: TaskState,
    *,
    now_ms: int,
    due_at_ms: int,
    failures: int,
    deaths: int,
    error: tuple[str, str] | None = None,
) -> bool:
    """Return a running task to the queue, at once or for later; False when the lease was lost."""
    changed = tx.run(
        """update tasks set state = :state, queued_at_ms = :queued, due_at_ms = :due, retry_delay_ms = :delay,
               failures = :failures, deaths = :deaths, worker_id = null, lease_until_ms = null,
               error_code = :code, error_message = :message
           where seq = :seq and token = :token and state = 'running'""",
        seq=task.seq,
        token=task.token,
        state=state,
        queued=now_ms if state is TaskState.QUEUED else None,
        due=due_at_ms,
        delay=max(0, due_at_ms - now_ms) if due_at_ms else None,
        failures=failures,
        deaths=deaths,
        code=error[0] if error else None,
        message=error[1] if error else None,
    )
    return changed == 1


def write_progress(tx: Transaction, task: Task, percent: int, note: str) -> bool:
    """Record progress under the token, never backwards; return False when the lease was lost."""
    changed = tx.run(
        """update tasks set progress = case when :percent > progress then :percent else progress end,
               progress_note = case when :percent >= progress then :note else progress_note end
           where seq = :seq and token = :token and state = 'running'""",
        seq=task.seq,
        token=task.token,
        percent=percent,
        note=note,
    )
    return changed == 1


def mark_sent(tx: Transaction, task: Task, now_ms: int) -> bool:
    """Record that an outside effect begins; return False when the lease was lost."""
    return (
        tx.run(
            "update tasks set sent_at_ms = :now where seq = :seq and token = :token and state = 'running'",
            seq=task.seq,
            token=task.token,
            now=now_ms,
        )
        == 1
    )


def renew(tx: Transaction, worker_id: str, task_ids: Sequence[str], lease_until_ms: int) -> int:
    """Extend the leases of the tasks a worker still works on; return how many."""
    names, ids = listed("id", task_ids)
    return tx.run(
        f"""update tasks set lease_until_ms = :lease
            where state = 'running' and worker_id = :worker and id in ({names})""",
        lease=lease_until_ms,
        worker=worker_id,
        **ids,
    )


def running_tokens(reader: Reader, worker_id: str) -> dict[str, tuple[int, bool]]:
    """Return token and cancel flag of each task a worker runs, by task id."""
    rows = reader.read(
        """select id, token, cancel_requested_at_ms from tasks
           where state = 'running' and worker_id = :worker""",
        worker=worker_id,
    )
    return {row["id"]: (row["token"], row["cancel_requested_at_ms"] is not None) for row in rows}


def running(reader: Reader) -> list[Task]:
    """Return all running tasks."""
    return [Task.from_row(row) for row in reader.read("select * from tasks where state = 'running'")]


def expired(reader: Reader, now_ms: int, limit: int) -> list[Task]:
    """Return waiting tasks whose time to start is over."""
    rows = reader.read(
        """select * from tasks where state in ('scheduled', 'queued', 'retrying')
               and expires_at_ms is not null and expires_at_ms <= :now limit :limit""",
        now=now_ms,
        limit=limit,
    )
    return [Task.from_row(row) for row in rows]


def newest_seq(reader: Reader) -> int:
    """Return the number of the task submitted last; 0 when there is none."""
    return int(reader.value("select coalesce(max(seq), 0) from tasks"))


def waiting(
    reader: Reader, type_name: str | None, except_types: Sequence[str], newest: int, limit: int
) -> list[Task]:
    """Return tasks waiting up to number `newest`, oldest first, of one type or all but the excepted ones."""
    names, excepted = listed("except", [*except_types, ""])
    rows = reader.read(
        f"""select * from tasks where state in ('scheduled', 'queued', 'retrying')
               and type = coalesce(:type, type) and type not in ({names}) and seq <= :newest
               order by seq limit :limit""",
        type=type_name,
        newest=newest,
        limit=limit,
        **excepted,
    )
    return [Task.from_row(row) for row in rows]


def end_waiting(
    tx: Transaction, task: Task, state: TaskState, *, now_ms: int, error: tuple[str, str] | None = None
) -> bool:
    """End a task that has not begun; return False when it is not waiting any more."""
    changed = tx.run(
        """update tasks set state = :state, finished_at_ms = :now, error_code = :code,
               error_message = :message
           where seq = :seq and state in ('scheduled', 'queued', 'retrying')""",
        seq=task.seq,
        state=state,
        now=now_ms,
        code=error[0] if error else None,
        message=error[1] if error else None,
    )
    return changed == 1


def request_cancel(tx: Transaction, task: Task, by: str, now_ms: int) -> bool:
    """Ask a running task to stop; return False when it is not running any more."""
    changed = tx.run(
        """update tasks set cancel_requested_at_ms = coalesce(cancel_requested_at_ms, :now),
               cancel_requested_by = coalesce(cancel_requested_by, :by)
           where seq = :seq and state = 'running'""",
        seq=task.seq,
        now=now_ms,
        by=by,
    )
    return changed == 1


def requeue(tx: Transaction, task: Task, now_ms: int) -> bool:
    """Queue an ended task again under its id, with fresh failure counts; False when it is not ended."""
    changed = tx.run(
        """update tasks set state = 'queued', queued_at_ms = :now, due_at_ms = 0, failures = 0, deaths = 0,
               finished_at_ms = null, error_code = null, error_message = null, progress = 0,
               progress_note = '', cancel_requested_at_ms = null, cancel_requested_by = null,
               expires_at_ms = null, retry_delay_ms = null, result = null
           where seq = :seq and state in ('failed', 'cancelled', 'expired')""",
        seq=task.seq,
        now=now_ms,
    )
    return changed == 1


def pull_in_after_clock_change(tx: Transaction, now_ms: int, lease_until_ms: int) -> int:
    """Shorten waits and leases that a clock set back has made longer than they were meant to be."""
    retries = tx.run(
        """update tasks set due_at_ms = :now + retry_delay_ms
           where state = 'retrying' and due_at_ms > :now + retry_delay_ms""",
        now=now_ms,
    )
    leases = tx.run(
        "update tasks set lease_until_ms = :lease where state = 'running' and lease_until_ms > :lease",
        lease=lease_until_ms,
    )
    return retries + leases
