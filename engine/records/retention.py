"""Delete what is past its keep: one small batch a call, so that no writer waits long."""

from engine.records.db import Row, Transaction

BATCH = 500


def remove_tasks(tx: Transaction, ended_before_ms: int) -> list[str]:
    """Delete a batch of tasks that ended before a time, with attempts and events; return their ids.

    A task whose files still exist stays until they are gone: the row is what finds the file.
    """
    rows = tx.read(
        """select id from tasks where finished_at_ms < :before
               and state in ('succeeded', 'failed', 'cancelled', 'expired')
               and not exists (select 1 from artifacts where artifacts.task_id = tasks.id)
           order by finished_at_ms limit :batch""",
        before=ended_before_ms,
        batch=BATCH,
    )
    ids = [{"id": row["id"]} for row in rows]
    tx.run_many("delete from attempts where task_id = :id", ids)
    tx.run_many("delete from task_events where task_id = :id", ids)
    tx.run_many("delete from task_webhooks where task_id = :id", ids)
    tx.run_many("delete from call_items where task_id = :id", ids)
    tx.run_many("delete from calls where task_id = :id", ids)
    tx.run_many("delete from tasks where id = :id", ids)
    return [row["id"] for row in rows]


def remove_workers(tx: Transaction, stopped_before_ms: int) -> int:
    """Delete a batch of workers that stopped before a time; return how many."""
    return tx.run(
        """delete from workers where id in
           (select id from workers where stopped_at_ms < :before limit :batch)""",
        before=stopped_before_ms,
        batch=BATCH,
    )


def expired_files(tx: Transaction, table: str, now_ms: int) -> list[Row]:
    """Return a batch of artifacts or uploads whose keep is over, with their ids and sizes."""
    if table not in ("artifacts", "uploads"):
        raise ValueError(table)
    return tx.read(
        f"select * from {table} where expires_at_ms < :now order by expires_at_ms limit :batch",
        now=now_ms,
        batch=BATCH,
    )
