"""What the request monitor adds to a request, beside its peers where they are installed.

    python bench/middleware.py [--requests 20000] [--rounds 9]

One bare ASGI application, and the same behind each middleware, driven in one process without a network, in
alternation; printed is the median over the rounds of CPU time per request and what is added to bare. The
writer thread runs as in production; its own time is shown apart.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from contextlib import suppress

os.environ.setdefault("OFFLOAD_DATA_DIR", tempfile.mkdtemp(prefix="offload-bench-"))

from engine.records import db
from engine.services import monitor
from engine.web.middleware import RequestMonitor

BODY = b"x" * 200


async def bare(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": BODY})


def timing_only(app):
    from starlette.middleware.base import BaseHTTPMiddleware

    async def dispatch(request, call_next):
        started = time.perf_counter()
        answer = await call_next(request)
        answer.headers["x-took"] = str(time.perf_counter() - started)
        return answer

    return BaseHTTPMiddleware(app, dispatch=dispatch)


def peers():
    """Return the middlewares that can be imported here."""
    yield "bare", bare
    yield "offload", RequestMonitor(bare, service="bench", resolve=lambda scope: "/orders/{id}")
    yield "BaseHTTPMiddleware, timing only", timing_only(bare)
    with suppress(ImportError):
        from asgi_correlation_id import CorrelationIdMiddleware

        yield "asgi-correlation-id", CorrelationIdMiddleware(bare)
    with suppress(ImportError):
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

        yield "opentelemetry-asgi", OpenTelemetryMiddleware(bare)
    with suppress(ImportError):
        from starlette_exporter import PrometheusMiddleware

        yield "starlette-exporter", PrometheusMiddleware(bare)
    with suppress(ImportError):
        from sentry_sdk.integrations.asgi import SentryAsgiMiddleware

        yield "sentry, tracing off", SentryAsgiMiddleware(bare)
    with suppress(ImportError):
        from asgi_profiler import ProfilerMiddleware

        yield "asgi-profiler", ProfilerMiddleware(bare)


def scope():
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/orders/17",
        "raw_path": b"/orders/17",
        "root_path": "",
        "query_string": b"",
        "scheme": "http",
        "server": ("bench", 80),
        "client": ("127.0.0.1", 1),
        "state": {},
        "headers": [(b"host", b"bench"), (b"user-agent", b"bench"), (b"accept", b"*/*"), (b"cookie", b"a=b")],
    }


async def drive(app, n, pause_s=0.0):
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        return None

    took = []
    for _ in range(n):
        if pause_s:
            await asyncio.sleep(pause_s)
        fresh = scope()
        started = time.perf_counter_ns()
        await app(fresh, receive, send)
        took.append(time.perf_counter_ns() - started)
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    apps = dict(peers())
    per_round = options.requests // options.rounds
    results = {name: [] for name in apps}
    tails = {name: [] for name in apps}
    for _ in range(options.rounds):
        for name, app in apps.items():
            took = sorted(asyncio.run(drive(app, per_round)))
            results[name].append(statistics.median(took) / 1000)
            tails[name].append(took[int(len(took) * 0.99)] / 1000)
        monitor.flush()
    base, base_tail = statistics.median(results["bare"]), statistics.median(tails["bare"])
    print(f"{'':34}{'median us':>10}{'added':>8}{'p99 us':>10}{'added':>8}")
    for name in apps:
        median, tail = statistics.median(results[name]), statistics.median(tails[name])
        print(f"{name:34}{median:10.2f}{median - base:8.2f}{tail:10.2f}{tail - base_tail:8.2f}")
    paced = {name: sorted(asyncio.run(drive(app, 2_000, 0.002))) for name, app in list(apps.items())[:2]}
    p99 = {name: took[int(len(took) * 0.99)] / 1000 for name, took in paced.items()}
    print(f"at 400 requests a second: p99 {p99['bare']:.1f} us bare, {p99['offload']:.1f} us with offload")
    row = db.metrics().one(
        "select sum(n) as n, sum(path_us) as p, sum(writer_us) as w, sum(n_dropped) as d from recorder_costs"
    )
    print(
        f"recorded {row['n']}, dropped {row['d']}; own measure: {row['p'] / row['n']:.2f} us on the path, "
        f"{row['w'] / row['n']:.2f} us in the writer, per request"
    )
    monitor.stop()


if __name__ == "__main__":
    main()
