"""Reads about workers and pauses."""

from dataclasses import dataclass
from typing import Any

from engine import clock
from engine.records import db, flags


@dataclass(frozen=True)
class Worker:
    """One consumer process, and how sure we are that it lives."""

    id: str
    host: str
    pid: int
    threads: int
    version: str
    types: list[str]
    started_at_ms: int
    heartbeat_at_ms: int
    stopped_at_ms: int | None
    stop_reason: str | None
    memory_bytes: int | None
    children_memory_bytes: int | None
    cpu_percent: float | None
    tasks: list[str]
    state: str
    """`alive`, `silent for N s` or `gone`."""

    @property
    def alive(self) -> bool:
        return self.state == "alive"

    def document(self) -> dict[str, Any]:
        """Return the JSON shape of a worker."""
        return {
            "worker_id": self.id,
            "host": self.host,
            "pid": self.pid,
            "threads": self.threads,
            "version": self.version,
            "types": self.types,
            "state": self.state,
            "started_at": clock.iso(self.started_at_ms),
            "heartbeat_at": clock.iso(self.heartbeat_at_ms),
            "stopped_at": clock.iso(self.stopped_at_ms),
            "stop_reason": self.stop_reason,
            "memory_bytes": self.memory_bytes,
            "children_memory_bytes": self.children_memory_bytes,
            "cpu_percent": self.cpu_percent,
            "tasks": self.tasks,
        }


def listing(*, gone_since_ms: int | None = None) -> list[Worker]:
    """Return the workers, live ones first, without those gone before a time (default 24 h ago)."""
    now_ms = clock.now_ms()
    since = now_ms - 86_400_000 if gone_since_ms is None else gone_since_ms
    rows = db.main().read(
        """select * from workers where stopped_at_ms is null or stopped_at_ms >= :since
           order by stopped_at_ms is not null, started_at_ms desc limit 200""",
        since=since,
    )
    current: dict[str, list[str]] = {}
    for task in db.main().read("select id, worker_id from tasks where state = 'running'"):
        current.setdefault(task["worker_id"], []).append(task["id"])
    return [
        Worker(
            **{k: row[k] for k in row.keys() if k in Worker.__annotations__ and k != "types"},  # noqa: SIM118
            types=row["types"].split(),
            tasks=current.get(row["id"], []),
            state=_state(row["stopped_at_ms"], row["heartbeat_at_ms"], now_ms),
        )
        for row in rows
    ]


def pauses() -> list[dict[str, Any]]:
    """Return what is paused, by whom and since when."""
    return [dict(row) for row in db.main().read("select * from queue_pauses order by scope")]


def _state(stopped_at_ms: int | None, heartbeat_at_ms: int, now_ms: int) -> str:
    if stopped_at_ms is not None:
        return "gone"
    silent_ms = now_ms - heartbeat_at_ms
    return f"silent for {silent_ms // 1000} s" if silent_ms > flags.silent_after_ms() else "alive"
