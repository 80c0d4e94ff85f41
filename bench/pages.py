"""How fast a page is redrawn while many people look at it and it refreshes by itself.

    python -m bench.pages [--data /tmp/ten] [--page performance] [--sessions 200] [--seconds 40] [--every 5]
                          [--profile FILE]

Starts the pages' process alone, as `./offload up` does, on a data folder (an empty one unless `--data` names
one that bench/ten_million.py filled). Each session opens the WebSocket as a browser would, runs the page, and
asks for each fragment as often as the page says. A rerun is timed from the request to `script_finished`;
what begins while the sessions still arrive is counted apart.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from bench.handover import answering, at
from engine.lib import ports

ROOT = Path(__file__).resolve().parent.parent
SETTLE_S = 5


class Viewer:
    """One browser tab: runs the page once, then every fragment at its own interval."""

    def __init__(self, port, cookie, page, every_s):
        self.port, self.cookie, self.page, self.every_s = port, cookie, page, every_s
        self.timers, self.asked, self.first, self.again, self.errors = {}, {}, [], [], []
        self.bytes = self.messages = 0

    async def watch(self, delay_s, until):
        await asyncio.sleep(delay_s)
        url = f"ws://127.0.0.1:{self.port}/_stcore/stream"
        headers, origin = {"Cookie": self.cookie}, f"http://127.0.0.1:{self.port}"
        try:
            async with websockets.connect(
                url, subprotocols=["streamlit"], max_size=None, additional_headers=headers, origin=origin
            ) as socket:
                await self.ask(socket, "")
                while (left := until - time.perf_counter()) > 0:
                    self.hear(await asyncio.wait_for(socket.recv(), left), socket, until)
        except TimeoutError:
            pass
        except Exception as error:
            self.errors.append(repr(error)[:120])
        finally:
            for timer in self.timers.values():
                timer.cancel()

    async def ask(self, socket, fragment):
        message = BackMsg()
        message.rerun_script.page_name = self.page
        if fragment:
            message.rerun_script.fragment_id = fragment
        self.asked.setdefault(fragment, time.perf_counter())
        await socket.send(message.SerializeToString())

    async def repeat(self, socket, fragment, every_s, until):
        while time.perf_counter() < until:
            await asyncio.sleep(every_s)
            await self.ask(socket, fragment)

    def finished(self):
        """Note how long everything asked for took that this run answers: one run may answer several asks."""
        if self.asked:
            began = min(self.asked.values())
            self.asked.clear()
            (self.again if self.first else self.first).append((began, time.perf_counter() - began))

    def hear(self, raw, socket, until):
        self.bytes, self.messages = self.bytes + len(raw), self.messages + 1
        message = ForwardMsg()
        message.ParseFromString(raw)
        kind = message.WhichOneof("type")
        if kind == "script_finished":
            self.finished()
        elif kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
            self.errors.append(message.delta.new_element.exception.message[:120])
        elif kind == "auto_rerun" and message.auto_rerun.fragment_id not in self.timers:
            fragment, every_s = message.auto_rerun.fragment_id, self.every_s or message.auto_rerun.interval
            self.timers[fragment] = asyncio.create_task(self.repeat(socket, fragment, every_s, until))


@contextmanager
def pages(folder, profile):
    """Run the pages' process on a data folder; yield its port and a signed-in cookie."""
    environment = {
        **os.environ,
        "OFFLOAD_DATA_DIR": str(folder),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    name = f"viewer{time.time_ns()}"
    command = [sys.executable, "-m", "engine", "users", "add", name, "--role", "ops"]
    printed = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    token = parse_qs(urlsplit(printed.stdout.split()[-1]).query)["token"][0]
    port = ports.free()
    words = ["streamlit", "run", "streamlit_app.py", "--server.address=127.0.0.1", f"--server.port={port}"]
    watched = [sys.executable, "-m", "cProfile", "-o", profile] if profile else [sys.executable]
    with (Path(folder) / "pages.log").open("wb") as log:
        process = subprocess.Popen(
            [*watched, "-m", *words], env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        asyncio.run(answering(port))
        yield port, sign_in(port, token), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def sign_in(port, token):
    import httpx

    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        client.get("/auth/login", params={"token": token})
        return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


async def drive(options, port, cookie):
    until = time.perf_counter() + options.ramp + SETTLE_S + options.seconds
    viewers = [Viewer(port, cookie, options.page, options.every) for _ in range(options.sessions)]
    step = options.ramp / options.sessions
    await asyncio.gather(*(v.watch(i * step, until) for i, v in enumerate(viewers)))
    return viewers, until - options.seconds


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="a data folder; it gains a user")
    parser.add_argument("--page", default="performance")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--ramp", type=float, default=20, help="seconds in which the sessions arrive")
    parser.add_argument("--every", type=float, help="seconds between refreshes; by default the page's own")
    parser.add_argument("--profile", default="", help="write a profile of the main thread here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as empty:
        folder = options.data or empty
        with pages(folder, options.profile) as (port, cookie, process):
            asyncio.run(drive(argparse.Namespace(**vars(options) | WARM_UP), port, cookie))
            before = process.cpu_times()
            viewers, steady = asyncio.run(drive(options, port, cookie))
            after = process.cpu_times()
            rss_mb = process.memory_info().rss / 1e6
    runs = [run for viewer in viewers for run in viewer.again]
    settled = [1000 * took for began, took in runs if began >= steady] or [float("nan")]
    first = [1000 * took for viewer in viewers for _, took in viewer.first]
    errors = [error for viewer in viewers for error in viewer.errors]
    n, cpu_ms = len(runs) + len(first), [1000 * (b - a) for a, b in zip(before, after, strict=True)]
    print(
        json.dumps(
            {
                "page": options.page,
                "sessions": options.sessions,
                "first_run_ms": {"p50": at(first, 0.5), "p95": at(first, 0.95)},
                "rerun_ms": {f"p{int(q * 100)}": at(settled, q) for q in (0.5, 0.95, 0.99)},
                "reruns": len(settled),
                "reruns_per_s": round(len(settled) / options.seconds, 1),
                "each": {
                    "user_ms": round(cpu_ms[0] / n, 1),
                    "system_ms": round(cpu_ms[1] / n, 1),
                    "kb": round(sum(v.bytes for v in viewers) / 1000 / n, 1),
                    "messages": round(sum(v.messages for v in viewers) / n, 1),
                },
                "rss_mb": round(rss_mb),
                "errors": len(errors),
                "example": errors[:1],
            }
        )
    )


WARM_UP = {"sessions": 2, "seconds": 2, "ramp": 1}


if __name__ == "__main__":
    main()
