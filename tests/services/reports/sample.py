"""A period made up for tests and for looking at."""

import math
from dataclasses import asdict

from engine.services.reports.before_after.shape import ComparisonData, Side, Statistic
from engine.services.reports.performance_summary.shape import Bucket, PerformanceData, Route, Totals

START_MS = 1_795_392_000_000  # 2026-11-23T00:00:00Z
HOUR_MS = 3_600_000


def performance(*, hours=24, n_routes=14, zone="UTC", bucket_ms=15 * 60_000, gap=True):
    buckets = []
    for at in range(hours * HOUR_MS // bucket_ms):
        day = 0.5 - 0.45 * math.cos(at * bucket_ms / (24 * HOUR_MS) * 2 * math.pi)
        n = 0 if gap and 20 <= at < 24 else round(900 * day) + (at * 37) % 50
        slow = 3.2 if 50 <= at < 58 else 1
        p50 = (60 + 40 * day + (at * 13) % 11) * slow
        has = n > 0
        buckets.append(
            Bucket(
                START_MS + at * bucket_ms,
                n,
                n // 40 if slow > 1 else n // 400,
                p50 if has else None,
                p50 * 5.1 if has else None,
                p50 * 9.7 if has else None,
            )
        )
    n, n_failed = sum(b.n for b in buckets), sum(b.n_failed for b in buckets)
    routes = [
        Route(
            f"/api/things/{{thing_id}}/part-{at}",
            ("GET", "POST")[at % 2],
            9000 // (at + 1),
            5 * (at % 3),
            40.0 + at,
            400.0 * (1 + at % 7),
            5000.0 + at,
            0.31 / (at + 1),
        )
        for at in range(n_routes)
    ]
    data = PerformanceData(
        start_ms=START_MS,
        end_ms=START_MS + hours * HOUR_MS,
        bucket_ms=bucket_ms,
        zone=zone,
        made_at_ms=START_MS + (hours + 2) * HOUR_MS,
        target_ms=500,
        requests=Totals(n, n_failed, 84.2, 431.0, 1240.0, 0.93),
        before=Totals(round(n * 0.88), n_failed * 2, 91.0, 610.0, 2011.0, 0.9),
        buckets=buckets,
        routes=routes,
        has_more_routes=True,
        pages=[
            Route("/performance", "", 420, 0, 95.0, 210.0, 900.0, 0.84),
            Route("/reports", "", 130, 1, 60.0, 130.0, 300.0, 0.16),
        ],
        tasks=[
            Route("api_call", "", 300, 12, 220.0, 1900.0, 9000.0, 0.65),
            Route("report", "", 41, 2, 1400.0, 3100.0, 5200.0, 0.35),
        ],
        n_dropped=12,
    )
    return asdict(data)


def empty():
    """The same period without a request."""
    nothing = {"buckets": [], "routes": [], "pages": [], "tasks": []}
    return {**performance(), "requests": asdict(Totals()), **nothing}


def comparison(*, n=(1204, 1377), n_failed=(31, 0), route="GET /invoices/{invoice_id}", replacement=""):
    """A fix that worked: p99 has too few values to be judged."""
    middle_ms = START_MS + 12 * HOUR_MS
    starts, ends = (START_MS, middle_ms), (middle_ms, START_MS + 24 * HOUR_MS)
    if replacement:
        starts, ends = (START_MS, START_MS), (ends[1], ends[1])
    sides = [
        Side(name, starts[at], ends[at], n[at], n_failed[at], "minute rollups", bands(peak) if n[at] else [])
        for at, (name, peak) in enumerate(((route, 3000), (replacement or route, 40)))
    ]
    statistics = [
        Statistic("mean", 3210.0, 47.0, -0.985, -0.987, -0.983, "fell", 30),
        Statistic("p50", 2980.0, 41.0, -0.986, -0.988, -0.985, "fell", 30),
        Statistic("p95", 6200.0, 84.0, -0.9864, -0.989, -0.981, "fell", 100),
        Statistic("p99", 8100.0, 8200.0, 0.012, -0.2, 0.3, "unknown", 500),
    ]
    verdict = "p95 fell from 6.2 s to 84 ms (-98.6 %, 95 % interval -98.9 to -98.1 %), n = 1,204 and 1,377."
    return asdict(
        ComparisonData(
            kind="http",
            service="shop",
            start_ms=START_MS,
            end_ms=START_MS + 24 * HOUR_MS,
            moment_ms=None if replacement else middle_ms,
            deploys=[] if replacement else ["shop 2.0"],
            zone="UTC",
            made_at_ms=START_MS + 26 * HOUR_MS,
            owner="anna",
            verdict=verdict if all(n) else f"Too few to tell: n = {n[0]:,} and {n[1]:,}; at least 30 ...",
            direction="fell" if all(n) else "unknown",
            before=sides[0],
            after=sides[1],
            statistics=statistics if all(n) else [],
        )
    )


def bands(peak_ms):
    """A bell on a logarithmic axis round a duration, in bands of a quarter of a doubling."""
    heights = [math.exp(-((at / 4) ** 2)) for at in range(-8, 9)]
    edges = [peak_ms * 2 ** ((at - 0.5) / 4) for at in range(-8, 10)]
    return [(edges[at], edges[at + 1], height / sum(heights)) for at, height in enumerate(heights)]
