"""Hand-over: how long `POST` takes until its 202, at a steady rate and at saturation, on the real api.

    python -m bench.handover [--rate 200] [--seconds 15] [--path /api/reports] [--saturate 8]

Open loop: requests leave at fixed times whatever has come back, and each latency counts from the time it
should have left, so that a stall is not hidden by the waiting of the client ("coordinated omission").
Saturation: 100 connections, each sending its next request when the last is answered. Everything runs on this
machine, the client included; no worker takes tasks meanwhile. `--beside N` also renders the same report N
times inside a request of an application that does without (`bench/blocking.py`), one after the other.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil

from engine.lib import ports

ROOT = Path(__file__).parents[1]
BODIES = {
    "/api/reports": {"report": "performance_summary", "params": {}},
    "/api/tasks": {"type": "probe", "payload": {}},
}


class Connection:
    """One keep-alive HTTP/1.1 connection, as little of it as is needed."""

    def __init__(self, port):
        self.port = port
        self.reader = self.writer = None

    async def ask(self, request):
        """Send bytes and return the status and body of the answer."""
        if self.reader is None or self.reader.at_eof():  # the server closes what is idle for 5 s
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await self.reader.readexactly(length)

    def close(self):
        if self.writer is not None:
            self.writer.close()


async def open_loop(port, request, rate, seconds):
    """Return the latencies in ms, from the planned moments, and the number of answers by status."""
    free = asyncio.LifoQueue()
    connections = [Connection(port) for _ in range(400)]
    for connection in reversed(connections):
        free.put_nowait(connection)
    latencies, statuses = [], {}

    async def one(planned):
        connection = await free.get()
        status, _ = await connection.ask(request)
        latencies.append((time.perf_counter() - planned) * 1000)
        statuses[status] = statuses.get(status, 0) + 1
        free.put_nowait(connection)

    start, running = time.perf_counter() + 0.05, []
    for n in range(int(rate * seconds)):
        planned = start + n / rate
        await asyncio.sleep(planned - time.perf_counter())
        running.append(asyncio.create_task(one(planned)))
    await asyncio.gather(*running)
    for connection in connections:
        connection.close()
    return latencies, statuses


async def saturate(port, request, clients, seconds):
    """Return accepted requests a second, and the latencies in ms, with every connection always busy."""
    stop, latencies = time.perf_counter() + seconds, []

    async def client():
        connection = Connection(port)
        while (sent := time.perf_counter()) < stop:
            status, body = await connection.ask(request)
            assert status == 202, body
            latencies.append((time.perf_counter() - sent) * 1000)
        connection.close()

    start = time.perf_counter()
    await asyncio.gather(*[client() for _ in range(clients)])
    return len(latencies) / (time.perf_counter() - start), latencies


async def one_by_one(port, request, n):
    """Return the latencies in ms of n requests, the first of which is left out."""
    connection, latencies = Connection(port), []
    for _ in range(n + 1):
        sent = time.perf_counter()
        status, body = await connection.ask(request)
        assert status == 202, body
        latencies.append((time.perf_counter() - sent) * 1000)
    return latencies[1:]


def at(values, q):
    return round(sorted(values)[min(len(values) - 1, int(len(values) * q))], 2)


def request_of(path, token):
    body = json.dumps(BODIES[path]).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@contextmanager
def api(folder):
    """Run the api process on a data folder; yield its port, the token of a user of the role ops, and it."""
    environment = {**os.environ, "OFFLOAD_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    port = ports.free()

    def cli(*words):
        command = [sys.executable, "-m", "engine", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    cli("users", "add", "bench", "--role", "ops")
    token = cli("users", "token", "bench").strip()
    with serving("engine.web.app:api", port, environment) as process:
        yield port, token, process


@contextmanager
def serving(application, port, environment):
    """Run uvicorn until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", application, f"--port={port}", "--no-access-log"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        asyncio.run(answering(port))
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


async def answering(port):
    """Wait until the process answers."""
    for _ in range(300):
        try:
            await Connection(port).ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return
        except OSError:
            await asyncio.sleep(0.1)
    raise TimeoutError("the api process does not answer")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--saturate", type=float, default=8)
    parser.add_argument("--beside", type=int, default=0)
    parser.add_argument("--path", choices=list(BODIES), default="/api/reports")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, api(Path(folder) / "data") as (port, token, process):
        request = request_of(options.path, token)
        asyncio.run(open_loop(port, request, 50, 2))  # warm
        latencies, statuses = asyncio.run(open_loop(port, request, options.rate, options.seconds))
        result = {
            "rate": options.rate,
            "n": len(latencies),
            "statuses": statuses,
            "ms": {"mean": round(statistics.mean(latencies), 2)}
            | {f"p{int(q * 100)}": at(latencies, q) for q in (0.5, 0.95, 0.99, 1)},
        }
        if options.saturate:
            before = process.cpu_times()
            per_s, busy = asyncio.run(saturate(port, request, 100, options.saturate))
            after = process.cpu_times()
            cpu_us = (after.user + after.system - before.user - before.system) / len(busy) * 1e6
            result["saturation"] = {
                "accepted_per_s": round(per_s),
                "ms": {"p50": at(busy, 0.5)},
                "api_cpu_us_each": round(cpu_us),
            }
        if options.beside:
            blocking = ports.free()
            environment = {
                **os.environ,
                "OFFLOAD_DATA_DIR": str(Path(folder) / "data"),
                "PYTHONPATH": str(ROOT),
            }
            with serving("bench.blocking:app", blocking, environment):
                inside = asyncio.run(one_by_one(blocking, request, options.beside))
            handed = asyncio.run(one_by_one(port, request, options.beside))
            result["beside"] = {
                "n": options.beside,
                "inside_ms": {"p50": at(inside, 0.5), "max": at(inside, 1)},
                "handed_over_ms": {"p50": at(handed, 0.5), "max": at(handed, 1)},
                "times_faster": round(at(inside, 0.5) / at(handed, 0.5)),
            }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
