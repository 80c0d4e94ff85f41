"""Take out everything of a demonstration: a service from the metrics, an owner from the other files."""

from engine.records import db


def remove_service(tx: db.Transaction, service: str) -> int:
    """Remove a service from the metrics; return how many series that were. Its recorders must have ended."""
    of_service = "(select id from series where service = :service)"
    for sql in (
        f"delete from event_sql where event_id in (select id from events where series_id in {of_service})",
        f"delete from events where series_id in {of_service}",
        f"delete from rollups where series_id in {of_service}",
        """delete from sql_texts
           where id in (select name from series where kind = 'query' and service = :service)
           and id not in (select name from series where kind = 'query' and service <> :service)""",
        "delete from recorder_costs where recorder_id in (select id from recorders where service = :service)",
        "delete from recorders where service = :service",
        "delete from findings where service = :service",
        "delete from deploys where service = :service",
    ):
        tx.run(sql, service=service)
    return tx.run("delete from series where service = :service", service=service)


def files_of(reader: db.Reader | db.Database, owner: str) -> list[str]:
    """Return the stored files of an owner, relative to the data folder."""
    return [
        f"{table}/{row['id']}.{row['kind']}"
        for table in ("artifacts", "uploads")
        for row in reader.read(f"select id, kind from {table} where owner = :owner", owner=owner)
    ]


def n_running(reader: db.Reader | db.Database, owner: str) -> int:
    """Return how many tasks of an owner have not ended."""
    return int(
        reader.value(
            """select count(*) from tasks where owner = :owner
               and state in ('scheduled', 'queued', 'running', 'retrying')""",
            owner=owner,
        )
    )


def workers_of(reader: db.Reader, owner: str) -> list[str]:
    """Return the worker of each running task of an owner."""
    found = reader.read("select worker_id from tasks where owner = :owner and state = 'running'", owner=owner)
    return [row["worker_id"] for row in found]


def workers_knowing(reader: db.Reader, type_: str) -> list[db.Row]:
    """Return the workers that had a task type loaded, stopped ones included."""
    return [row for row in reader.read("select * from workers") if type_ in row["types"].split()]


def remove_worker(tx: db.Transaction, worker_id: str) -> None:
    """Remove a worker's row; its attempts keep its id."""
    tx.run("delete from workers where id = :id", id=worker_id)


def remove_owner(tx: db.Transaction, owner: str) -> int:
    """Remove a person with all tasks and their rows; return how many tasks. The audit trail stays."""
    of_owner = "(select id from tasks where owner = :owner)"
    for sql in (
        *(f"delete from {t} where task_id in {of_owner}" for t in ("attempts", "task_events", "call_items")),
        *(f"delete from {t} where owner = :owner" for t in ("artifacts", "uploads", "calls", "call_counts")),
        *(f"delete from {t} where user_name = :owner" for t in ("sessions", "tokens", "signin_links")),
        "delete from users where name = :owner",
    ):
        tx.run(sql, owner=owner)
    return tx.run("delete from tasks where owner = :owner", owner=owner)


def remove_kept_answers(tx: db.Transaction, owner: str) -> None:
    """Remove an owner's kept answers from the cache."""
    for table in ("responses", "response_counts"):
        tx.run(f"delete from {table} where owner = :owner", owner=owner)
