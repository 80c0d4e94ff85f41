"""Workers (consumer processes) and pauses of the queue."""

from collections.abc import Mapping
from typing import Any

from engine.records.db import Reader, Row, Transaction


def register(tx: Transaction, row: Mapping[str, Any]) -> None:
    """Write the row of a consumer that has started."""
    tx.run(
        """insert into workers (id, host, host_key, pid, start_ticks, threads, version, types,
               started_at_ms, heartbeat_at_ms)
           values (:id, :host, :host_key, :pid, :start_ticks, :threads, :version, :types,
               :started_at_ms, :started_at_ms)
           on conflict (id) do nothing""",
        **row,
    )


def beat(tx: Transaction, worker_id: str, now_ms: int, usage: Mapping[str, Any]) -> None:
    """Say that a worker is alive, and what its process and children use."""
    tx.run(
        """update workers set heartbeat_at_ms = :now, memory_bytes = :memory_bytes,
               children_memory_bytes = :children_memory_bytes, cpu_percent = :cpu_percent,
               stopped_at_ms = null, stop_reason = null
           where id = :id""",
        id=worker_id,
        now=now_ms,
        **usage,
    )


def stop(tx: Transaction, worker_id: str, now_ms: int, reason: str) -> bool:
    """Write that a worker is no more; return False when that was known."""
    sql = """update workers set stopped_at_ms = :now, stop_reason = :reason
             where id = :id and stopped_at_ms is null"""
    return tx.run(sql, id=worker_id, now=now_ms, reason=reason) == 1


def live(reader: Reader) -> list[Row]:
    """Return the workers that have not stopped, as far as anybody knows."""
    return reader.read("select * from workers where stopped_at_ms is null")


def last_heard_ms(reader: Reader) -> int:
    """Return the latest heartbeat of any worker, 0 without one; ahead of now where the clock was set back."""
    return int(reader.value("select coalesce(max(heartbeat_at_ms), 0) from workers"))


def paused_scopes(reader: Reader) -> set[str]:
    """Return the paused task types; `*` stands for the whole queue."""
    return {row["scope"] for row in reader.read("select scope from queue_pauses")}


def pause(tx: Transaction, scope: str, by: str, now_ms: int, note: str) -> bool:
    """Pause a type or the queue; return False when it was paused already."""
    sql = """insert into queue_pauses (scope, paused_at_ms, paused_by, note)
             values (:scope, :now, :by, :note) on conflict do nothing"""
    return tx.run(sql, scope=scope, now=now_ms, by=by, note=note) == 1


def resume(tx: Transaction, scope: str) -> bool:
    """Lift a pause; return False when there was none."""
    return tx.run("delete from queue_pauses where scope = :scope", scope=scope) == 1
