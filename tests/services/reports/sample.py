"""A period made up for tests and for looking at."""

import math
from dataclasses import asdict

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
