"""What the monitoring itself costs, and whether it lost anything."""

from dataclasses import dataclass

from engine.queries.performance.selection import Selection
from engine.records import db


@dataclass(frozen=True)
class Cost:
    """The price of recording in a window, over all recording processes."""

    n: int
    n_dropped: int
    n_lost: int
    """Units that died with a killed process before they were written."""
    path_us_per_unit: float | None
    """Added to the work itself, in microseconds."""
    share_of_cpu: float | None
    """Recording's CPU time over all CPU time of the recording processes, 0 to 1."""
    share_of_core: float | None
    """Recording's CPU time over the minutes in which anything was recorded: 0.01 is 1 % of one core."""
    level: int
    """Least detail of any live process: 2 all, 1 queries of evidence only, 0 rollups and evidence."""
    n_recorders: int


def cost(selection: Selection) -> Cost:
    """Return what recording cost in a window."""
    start, end = selection.start_ms, selection.end_ms
    row = db.metrics().one(
        """select count(distinct bucket_at_ms) as minutes, coalesce(sum(n), 0) as n,
               coalesce(sum(n_dropped), 0) as dropped, sum(path_us) as path,
               sum(path_us + writer_us) as spent, sum(process_us) as process
           from recorder_costs where bucket_at_ms >= :start and bucket_at_ms <= :end""",
        start=start,
        end=end,
    )
    live = db.metrics().one(
        """select count(*) as n, min(level) as level from recorders
           where ended_at_ms is null and seen_at_ms >= :start""",
        start=start,
    )
    lost = db.metrics().value(
        "select sum(n_lost) from recorders where ended_at_ms >= :start and ended_at_ms <= :end",
        start=start,
        end=end,
    )
    assert row is not None
    assert live is not None
    return Cost(
        n=row["n"],
        n_dropped=row["dropped"],
        n_lost=lost or 0,
        path_us_per_unit=row["path"] / row["n"] if row["n"] else None,
        share_of_cpu=min(1.0, row["spent"] / row["process"]) if row["process"] else None,
        share_of_core=row["spent"] / (row["minutes"] * 60e6) if row["minutes"] else None,
        level=2 if live["level"] is None else live["level"],
        n_recorders=live["n"],
    )
