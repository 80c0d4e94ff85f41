"""What the request monitor adds to a request, and to a page run, beside its peers where they are installed.

    python -m venv /tmp/middleware-peers
    /tmp/middleware-peers/bin/pip install -r requirements.txt asgi-correlation-id==5.0.1 \\
        asgi-profiler==0.3.0 starlette-exporter==0.24.0 sentry-sdk==2.75.0 \\
        opentelemetry-instrumentation-asgi==0.66b2 opentelemetry-sdk==1.45.2
    /tmp/middleware-peers/bin/python -m bench.middleware [--requests 90000] [--rounds 9] [--paced 2000]

One bare ASGI application, and the same behind each middleware, driven in one process without a network, in
alternation; printed is the median over the rounds, and what is added to bare. Then the same at 400 requests a
second: a request that comes alone finds the processor's caches cold, which multiplies bare and all others
alike. The writer thread runs as in production; its own time is shown apart.
"""

import argparse
import asyncio
import os
import tempfile
import time
from contextlib import nullcontext, suppress

os.environ.setdefault("OFFLOAD_DATA_DIR", tempfile.mkdtemp(prefix="offload-bench-"))

from engine.records import db
from engine.services import monitor
from engine.web.middleware import RequestMonitor
from engine.words import Actor, Role

BODY = b"x" * 200
SOMEBODY = Actor("bench", Role.STAFF)
ROUNDS_PACED = 4


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
        from asgi_profiler import ProfilerMiddleware, SQLiteStorage

        storage = SQLiteStorage(f"{tempfile.mkdtemp(prefix='offload-bench-')}/profiler.db")
        yield "asgi-profiler, SQLite", ProfilerMiddleware(bare, storage)
    with suppress(ImportError):
        from starlette_exporter import PrometheusMiddleware

        yield "starlette-exporter", PrometheusMiddleware(bare)
    with suppress(ImportError):
        from sentry_sdk.integrations.asgi import SentryAsgiMiddleware

        yield "sentry, tracing off", SentryAsgiMiddleware(bare)
    with suppress(ImportError):
        yield "opentelemetry-asgi, SDK", opentelemetry()


def opentelemetry():
    """Return OpenTelemetry's middleware with an SDK whose spans and figures are made and thrown away."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider

    figures = MeterProvider([InMemoryMetricReader()])
    return OpenTelemetryMiddleware(bare, tracer_provider=TracerProvider(), meter_provider=figures)


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
        took.append((time.perf_counter_ns() - started) / 1000)
    return took


def page_runs(n):
    """Return microseconds of each of n empty page runs, recorded and not."""
    recorded, plain = [], []
    for _ in range(n):
        started = time.perf_counter_ns()
        with monitor.measure(monitor.RUN, "/bench", correlation_id="c0ffee00", actor=SOMEBODY):
            pass
        recorded.append((time.perf_counter_ns() - started) / 1000)
        started = time.perf_counter_ns()
        with nullcontext():
            pass
        plain.append((time.perf_counter_ns() - started) / 1000)
    return recorded, plain


def at(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


def show(title, took):
    """Print median and p99 of each, and what they add to the first."""
    base = next(iter(took.values()))
    print(f"\n{title:44}{'median':>8}{'added':>8}{'p99':>9}{'added':>8}")
    for name, values in took.items():
        middle, tail = at(values, 0.5), at(values, 0.99)
        added, added_tail = middle - at(base, 0.5), tail - at(base, 0.99)
        print(f"{name:44}{middle:8.2f}{added:8.2f}{tail:9.2f}{added_tail:8.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=90_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--paced", type=int, default=2_000, help="requests of each at 400 a second")
    options = parser.parse_args()
    apps = dict(peers())
    hot, paced = {name: [] for name in apps}, {name: [] for name in apps}
    for _ in range(options.rounds):
        for name, app in apps.items():
            hot[name] += asyncio.run(drive(app, options.requests // options.rounds))
        monitor.flush()
    show("microseconds, one request after the other", hot)
    for _ in range(ROUNDS_PACED):
        for name, app in apps.items():
            paced[name] += asyncio.run(drive(app, options.paced // ROUNDS_PACED, 0.0025))
    show("microseconds, at 400 requests a second", paced)
    recorded, plain = page_runs(options.paced)
    show("microseconds, a page run", {"bare": plain, "recorded": recorded})
    row = db.metrics().one(
        "select sum(n) as n, sum(path_us) as p, sum(writer_us) as w, sum(n_dropped) as d from recorder_costs"
    )
    print(
        f"\nrecorded {row['n']}, dropped {row['d']}; own measure: {row['p'] / row['n']:.2f} us on the path, "
        f"{row['w'] / row['n']:.2f} us in the writer, per request"
    )
    monitor.stop()


if __name__ == "__main__":
    main()
