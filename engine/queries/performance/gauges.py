"""How things stand now, for a scrape: tasks, workers, recorders."""

from dataclasses import dataclass

from engine.records import db


@dataclass(frozen=True)
class Gauges:
    """Counts of the moment."""

    tasks: dict[str, int]
    workers: int
    worker_threads: int
    oldest_waiting_ms: int
    recorders: int
    stored: int
    dropped: int
    lost: int
    findings: dict[str, int]


def gauges(now_ms: int, *, alive_since_ms: int) -> Gauges:
    """Return how things stand; `alive_since_ms` is the oldest heartbeat of a live worker."""
    main, metrics = db.main(), db.metrics()
    tasks = main.read("select state, count(*) as n from tasks group by state")
    workers = main.one(
        """select count(*) as n, coalesce(sum(threads), 0) as threads from workers
           where stopped_at_ms is null and heartbeat_at_ms >= :since""",
        since=alive_since_ms,
    )
    oldest = main.value("select min(queued_at_ms) from tasks where state = 'queued'")
    recorders = metrics.one(
        """select sum(case when ended_at_ms is null then 1 else 0 end) as live, sum(n_stored) as stored,
               sum(n_dropped) as dropped, sum(n_lost) as lost from recorders"""
    )
    found = metrics.read("select state, count(*) as n from findings group by state")
    assert workers is not None
    assert recorders is not None
    return Gauges(
        tasks={row["state"]: row["n"] for row in tasks},
        workers=workers["n"],
        worker_threads=workers["threads"],
        oldest_waiting_ms=max(0, now_ms - oldest) if oldest else 0,
        recorders=recorders["live"] or 0,
        stored=recorders["stored"] or 0,
        dropped=recorders["dropped"] or 0,
        lost=recorders["lost"] or 0,
        findings={row["state"]: row["n"] for row in found},
    )
