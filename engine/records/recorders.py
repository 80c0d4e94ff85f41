"""The recorders and what recording cost, deploy marks, and the Apdex target of each route pattern."""

from engine.records import db

UNKNOWN = "_unknown"
"""The service of a process of which nothing but its counter file is known."""


def register(tx: db.Transaction, recorder_id: str, service: str, at_ms: int) -> None:
    """Enter a process that begins to record."""
    tx.run(
        """insert into recorders (id, service, started_at_ms, seen_at_ms) values (:id, :service, :at, :at)
           on conflict (id) do update set seen_at_ms = :at""",
        id=recorder_id,
        service=service,
        at=at_ms,
    )


def report(
    tx: db.Transaction, recorder_id: str, *, at_ms: int, n_stored: int, n_dropped: int, level: int
) -> None:
    """Write how many units this process has stored and dropped since it started, and its level of detail."""
    tx.run(
        """update recorders set seen_at_ms = :at, n_stored = :stored, n_dropped = :dropped, level = :level
           where id = :id""",
        id=recorder_id,
        at=at_ms,
        stored=n_stored,
        dropped=n_dropped,
        level=level,
    )


def add_cost(
    tx: db.Transaction,
    recorder_id: str,
    *,
    minute_ms: int,
    n: int,
    n_dropped: int,
    path_us: int,
    writer_us: int,
    process_us: int,
    level: int,
) -> None:
    """Add what recording cost this process to its minute: on the path of the work, and in the writer."""
    tx.run(
        """insert into recorder_costs (bucket_at_ms, recorder_id, n, n_dropped, path_us, writer_us,
               process_us, level)
           values (:at, :id, :n, :dropped, :path, :writer, :process, :level)
           on conflict (bucket_at_ms, recorder_id) do update set n = recorder_costs.n + :n,
               n_dropped = recorder_costs.n_dropped + :dropped, path_us = recorder_costs.path_us + :path,
               writer_us = recorder_costs.writer_us + :writer,
               process_us = recorder_costs.process_us + :process, level = :level""",
        at=minute_ms,
        id=recorder_id,
        n=n,
        dropped=n_dropped,
        path=path_us,
        writer=writer_us,
        process=process_us,
        level=level,
    )


def end(tx: db.Transaction, recorder_id: str, *, at_ms: int, n_recorded: int | None = None) -> int:
    """Close a recorder once; return how many units died with it (`n_recorded` by its counter file).

    One that died before it could be entered is entered now, under the name `UNKNOWN`.
    """
    row = tx.one("select n_stored, n_dropped, ended_at_ms from recorders where id = :id", id=recorder_id)
    if row is None and n_recorded:
        register(tx, recorder_id, UNKNOWN, at_ms)
    elif row is None or row["ended_at_ms"] is not None:
        return 0
    kept = row["n_stored"] + row["n_dropped"] if row else 0
    lost = max(0, n_recorded - kept) if n_recorded is not None else 0
    tx.run(
        "update recorders set ended_at_ms = :at, n_lost = :lost where id = :id",
        id=recorder_id,
        at=at_ms,
        lost=lost,
    )
    return lost


def n_live(reader: db.Reader | db.Database, service: str, since_ms: int) -> int:
    """Return how many processes of a service have written since a moment and not ended."""
    return int(
        reader.value(
            """select count(*) from recorders
               where service = :service and ended_at_ms is null and seen_at_ms > :since""",
            service=service,
            since=since_ms,
        )
    )


def trim(tx: db.Transaction, before_ms: int) -> None:
    """Forget costs and ended recorders older than `before_ms`."""
    tx.run("delete from recorder_costs where bucket_at_ms < :before", before=before_ms)
    tx.run("delete from recorders where ended_at_ms < :before", before=before_ms)


def salt(tx: db.Transaction, candidate: int) -> int:
    """Return the number that keys this installation's user hashes; the first candidate offered wins."""
    first_time(tx, "user_salt", candidate)
    return int(tx.value("select at_ms from watermarks where name = 'user_salt'"))


def is_due(reader: db.Reader | db.Database, at_ms: int, every_ms: int, *, turn: str = "beat") -> bool:
    """Tell whether `take_turn` might succeed, without writing."""
    last = reader.value("select at_ms from watermarks where name = :turn", turn=turn) or 0
    return abs(at_ms - int(last)) >= every_ms


def take_turn(tx: db.Transaction, at_ms: int, every_ms: int, *, turn: str = "beat") -> bool:
    """Tell whether it is this caller's turn to do what one process does every so often."""
    first_time(tx, turn, 0)
    return (
        tx.run(
            """update watermarks set at_ms = :at where name = :turn
               and (at_ms <= :at - :every or at_ms > :at + :every)""",
            at=at_ms,
            every=every_ms,
            turn=turn,
        )
        == 1
    )


def first_time(tx: db.Transaction, name: str, at_ms: int) -> bool:
    """Remember that something happened; tell whether that is new."""
    return (
        tx.run(
            "insert into watermarks (name, at_ms) values (:name, :at) on conflict (name) do nothing",
            name=name,
            at=at_ms,
        )
        == 1
    )


def mark_deploy(tx: db.Transaction, *, at_ms: int, service: str, version: str, note: str = "") -> None:
    """Mark a change of what is running; the same mark twice is one."""
    tx.run(
        """insert into deploys (at_ms, service, version, note) values (:at, :service, :version, :note)
           on conflict (service, version, at_ms) do nothing""",
        at=at_ms,
        service=service,
        version=version,
        note=note,
    )


def set_target(tx: db.Transaction, pattern: str, target_ms: int, *, at_ms: int, by: str) -> None:
    """Set the Apdex target T of the routes that match a pattern (`*` stands for anything)."""
    tx.run(
        """insert into apdex_targets (pattern, target_ms, changed_at_ms, changed_by)
           values (:pattern, :target, :at, :by)
           on conflict (pattern) do update set target_ms = :target, changed_at_ms = :at, changed_by = :by""",
        pattern=pattern,
        target=target_ms,
        at=at_ms,
        by=by,
    )


def remove_target(tx: db.Transaction, pattern: str) -> bool:
    """Let a pattern fall back to the default target."""
    return tx.run("delete from apdex_targets where pattern = :pattern", pattern=pattern) == 1


def targets(reader: db.Reader | db.Database) -> list[tuple[str, int]]:
    """Return patterns with their target in ms, the most specific (longest) first."""
    rows = reader.read("select pattern, target_ms from apdex_targets")
    return sorted(((row["pattern"], row["target_ms"]) for row in rows), key=lambda r: (-len(r[0]), r[0]))
