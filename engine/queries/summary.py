"""The numbers of a period: totals, a series over time, and what took most of the time. From rollups only."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from engine.records import db
from engine.records.metrics import TOTAL
from engine.records.rollups import MINUTE_MS, TIERS, Rollup, floor, from_row, watermark


@dataclass(frozen=True)
class Part:
    """One route, page or task type over the whole period."""

    name: str
    method: str
    rollup: Rollup


@dataclass
class Period:
    """What was recorded from `start_ms` up to, not including, `end_ms`."""

    start_ms: int
    end_ms: int
    bucket_ms: int
    total: Rollup = field(default_factory=Rollup)
    buckets: dict[int, Rollup] = field(default_factory=dict)
    """By their start; those in which nothing happened are absent."""


def period(service: str, kind: str, start_ms: int, end_ms: int, bucket_ms: int) -> Period:
    """Return the total and the series of a kind of work; `service` empty means all."""
    found = Period(start_ms, end_ms, bucket_ms)
    for at_ms, _, _, rollup in _read(service, kind, start_ms, end_ms, bucket_ms, "="):
        found.total.merge(rollup)
        found.buckets.setdefault(floor(at_ms, bucket_ms), Rollup()).merge(rollup)
    return found


def parts(service: str, kind: str, start_ms: int, end_ms: int) -> list[Part]:
    """Return what makes up the total of a kind of work, by the time it took, the most first."""
    sums: dict[tuple[str, str], Rollup] = {}
    for _, name, method, rollup in _read(service, kind, start_ms, end_ms, TIERS[-1], "<>"):
        sums.setdefault((name, method), Rollup()).merge(rollup)
    found = [Part(name, method, rollup) for (name, method), rollup in sums.items()]
    return sorted(found, key=lambda part: (-part.rollup.histogram.sum, part.name, part.method))


def n_dropped(start_ms: int, end_ms: int) -> int:
    """Count the events of a period that were dropped because a buffer was full."""
    return int(
        db.metrics().value(
            """select coalesce(sum(n_dropped), 0) from recorder_costs
               where bucket_at_ms >= :start and bucket_at_ms < :end""",
            start=floor(start_ms, MINUTE_MS),
            end=end_ms,
        )
    )


def spans(start_ms: int, end_ms: int, marks: dict[int, int], tier_ms: int) -> Iterator[tuple[int, int, int]]:
    """Cut a period into (tier, start, end): as coarse as `tier_ms` where whole buckets lie before the mark.

    The minute tier is complete at any moment; a coarser one only before its watermark.
    """
    finer = [tier for tier in TIERS if tier < tier_ms]
    if not finer:
        yield (tier_ms, start_ms, end_ms)
        return
    inner_start = -(-start_ms // tier_ms) * tier_ms
    inner_end = floor(min(end_ms, marks.get(tier_ms, 0)), tier_ms)
    if inner_end <= inner_start:
        yield from spans(start_ms, end_ms, marks, finer[-1])
        return
    if start_ms < inner_start:
        yield from spans(start_ms, inner_start, marks, finer[-1])
    yield (tier_ms, inner_start, inner_end)
    if inner_end < end_ms:
        yield from spans(inner_end, end_ms, marks, finer[-1])


def _read(
    service: str, kind: str, start_ms: int, end_ms: int, coarsest_ms: int, total: str
) -> Iterator[tuple[int, str, str, Rollup]]:
    """Yield start of the bucket, name, method and rollup; `total` is `=` for the sums, `<>` for the parts."""
    with db.metrics().snapshot() as snapshot:
        marks = {tier: watermark(snapshot, tier) or 0 for tier in TIERS[1:]}
        tier = max(tier for tier in TIERS if tier <= coarsest_ms)
        for tier_ms, start, end in spans(floor(start_ms, MINUTE_MS), end_ms, marks, tier):
            yield from _rows(
                snapshot.read(
                    f"""select rollups.*, series.name, series.method from rollups
                        join series on series.id = rollups.series_id
                        where tier_ms = :tier and bucket_at_ms >= :start and bucket_at_ms < :end
                          and kind = :kind and name {total} :total
                          and (service = :service or :service = '')""",
                    tier=tier_ms,
                    start=start,
                    end=end,
                    kind=kind,
                    total=TOTAL,
                    service=service,
                )
            )


def _rows(rows: Iterable[db.Row]) -> Iterator[tuple[int, str, str, Rollup]]:
    for row in rows:
        yield row["bucket_at_ms"], row["name"], row["method"], from_row(row)
