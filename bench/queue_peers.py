"""Offload beside other task queues, in one run: throughput, latency, and what a killed worker loses.

    python -m venv /tmp/queue-peers
    /tmp/queue-peers/bin/pip install huey==3.5.4 "celery[redis]==5.7.0" rq==3.0.0 "dramatiq[redis]==2.2.1" \\
        procrastinate==3.10.0 "psycopg[binary]"
    apt-get install redis-server postgresql
    python -m bench.queue_peers [--quick] [--peers /tmp/queue-peers/bin]

Redis and PostgreSQL are started on loopback with data of their own and stopped at the end; what is not
installed is left out. All run the same task, which appends one line to a file; four threads or processes
each; Redis without persistence, PostgreSQL and SQLite with every commit flushed.

- *tasks/s*: tasks that do nothing, enqueued first, then a fresh worker; from the first 5 % to the last line.
- *enqueue*: microseconds of one call. *idle*: milliseconds from the call to the line, one task at a time.
- *not done*: of 500 tasks of 10 ms, 60 s (--patience) after all processes of the worker were killed with -9
  while it worked, and a new worker was started. *twice*: those done more than once.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.queue_kit import ROOT, head, percentile, wait

HERE = Path(__file__).parent
N_KILL, KILL_AFTER = 500, 120


@dataclass(frozen=True)
class Peer:
    """A queue: how its worker is started (`{bin}` is the folder of its Python), what it needs."""

    name: str
    title: str
    command: str
    needs: str | None = None
    package: str = ""
    count: int = 2_000
    """Tasks drained; fewer for the slow ones."""


PEERS = (
    Peer("offload", "Offload", "{bin}/python -m huey.bin.huey_consumer peers.offload_app.huey"),
    Peer(
        "huey",
        "SqliteHuey, stock",
        "{bin}/python -m huey.bin.huey_consumer peers.huey_app.huey -w 4 -q -d 0.02 -m 0.05",
        package="huey",
    ),
    Peer(
        "celery",
        "Celery + Redis, acks_late",
        "{bin}/celery -A peers.celery_app worker -c 4 -l ERROR",
        "redis",
        "celery",
    ),
    Peer("rq", "RQ + Redis", "{bin}/rq worker-pool -n 4 -q --url {redis}", "redis", "rq", 300),
    Peer("dramatiq", "Dramatiq + Redis", "{bin}/dramatiq peers.dramatiq_app -p 1 -t 4", "redis", "dramatiq"),
    Peer(
        "procrastinate",
        "Procrastinate + PostgreSQL",
        "{bin}/procrastinate --app=peers.procrastinate_app.app worker --concurrency 4",
        "postgres",
        "procrastinate",
        1_000,
    ),
)


class Run:
    """One peer on data of its own: enqueues, workers, and the lines its tasks wrote."""

    def __init__(self, peer, folder, bin_folder, urls):
        self.peer, self.folder, self.bin = peer, folder, bin_folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}" if peer.name == "offload" else str(HERE),
            "OFFLOAD_DATA_DIR": str(folder / "data"),
            "OFFLOAD_WORKERS": "4",
            "BENCH_FOLDER": str(folder),
            "BENCH_DONE": str(folder / "done"),
            **{f"BENCH_{name.upper()}": url for name, url in urls.items()},
        }
        self.urls = urls
        (folder / "done").touch()
        self.python("-m", "peers.enqueue", peer.name)

    def python(self, *arguments):
        command = [str(self.bin / "python"), *arguments]
        done = subprocess.run(command, cwd=HERE, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{self.peer.name}: {done.stderr[-800:]}")
        return done.stdout

    def enqueue(self, count, ms=0, gap_s=0.0, first=0):
        """Return (start in ns, microseconds) of each call."""
        numbers = map(str, (first, count, ms, gap_s))
        return json.loads(self.python("-m", "peers.enqueue", self.peer.name, *numbers).splitlines()[-1])

    def start(self):
        words = self.peer.command.format(bin=self.bin, **self.urls).split()
        with (self.folder / "log").open("ab") as log:
            return psutil.Popen(
                words, cwd=HERE, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def lines(self):
        """Return (number, nanoseconds) of every task done so far."""
        text = (self.folder / "done").read_text()
        return [tuple(map(int, line.split())) for line in text.splitlines() if line.count(" ") == 1]

    def forget(self):
        (self.folder / "done").write_text("")


@contextmanager
def worker(run):
    """A worker, ended by SIGTERM, or by SIGKILL with all its processes."""
    process = run.start()
    try:
        yield process
    finally:
        kill(process, signal.SIGTERM)


def kill(process, number):
    """Signal a worker (SIGKILL: and everything it started); wait until nothing of it is left."""
    with suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        for member in family if number == signal.SIGKILL else [process]:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(number)
        _, alive = psutil.wait_procs(family, timeout=15)
        for member in alive:
            member.kill()


def measure(run, quick, patience_s):
    """Return the columns of one peer."""
    count = min(500, run.peer.count) if quick else run.peer.count
    calls = run.enqueue(count)
    with worker(run):
        wait(lambda: len(run.lines()) >= count, 240, poll_s=0.1)
        ends = sorted(end for _, end in run.lines())
        rate = (count - count // 20) / max(1e-3, (ends[-1] - ends[count // 20]) / 1e9)
        run.forget()
        singles = run.enqueue(15 if quick else 60, gap_s=0.45)
        wait(lambda: len(run.lines()) >= len(singles), 60, poll_s=0.1)
        ended = dict(run.lines())
        idle = [(ended[number] - began) / 1e6 for number, (began, _) in enumerate(singles)]
    run.forget()
    lost, twice = killed(run, patience_s)
    micros = [us for _, us in calls[count // 20 :]]
    return [
        f"{rate:.0f}",
        f"{statistics.median(micros):.0f} / {percentile(micros, 95):.0f}",
        f"{statistics.median(idle):.0f} / {percentile(idle, 95):.0f}",
        str(lost),
        str(twice),
    ]


def killed(run, patience_s):
    """Return how many of 500 tasks are lost, and how many done twice, when a worker is killed at work."""
    run.enqueue(N_KILL, ms=10)
    first = run.start()
    try:
        wait(lambda: len(run.lines()) >= KILL_AFTER, 60, poll_s=0.005)
    finally:
        kill(first, signal.SIGKILL)
    with worker(run), suppress(TimeoutError):
        wait(lambda: len(dict(run.lines())) >= N_KILL, patience_s, poll_s=0.2)
    found = Counter(number for number, _ in run.lines())
    return N_KILL - len(found), sum(times > 1 for times in found.values())


@contextmanager
def redis(folder):
    """A Redis of our own on loopback; yield its URL."""
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with serving(["redis-server", *options, "--dir", str(folder)], port):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgres(folder):
    """A PostgreSQL of our own on loopback; yield its address. It refuses to run as root."""
    port, user = free_port(), []
    if os.geteuid() == 0:
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        shutil.chown(folder, "postgres")
    subprocess.run(
        [*user, "initdb", "-A", "trust", "-U", "bench", "-D", str(folder / "pg")],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(folder)]
    with serving([*user, "postgres", "-D", str(folder / "pg"), *options], port):
        yield f"host=127.0.0.1 port={port} user=bench dbname=postgres"


@contextmanager
def serving(command, port):
    with open(os.devnull, "wb") as nothing:
        process = psutil.Popen(command, stdout=nothing, stderr=nothing, cwd="/")
    try:
        wait(lambda: answers(port), 20)
        time.sleep(0.5)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except psutil.TimeoutExpired:
            process.kill()


def answers(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def missing(peer, bin_folder):
    """Say why a peer cannot take part."""
    if peer.package:
        command = [str(bin_folder / "python"), "-c", f"import {peer.package}"]
        if not (bin_folder / "python").exists() or subprocess.run(command, capture_output=True).returncode:
            return f"{peer.package} is not installed in {bin_folder}"
    program = {"redis": "redis-server", "postgres": "initdb", None: "sh"}[peer.needs]
    return None if shutil.which(program) else f"there is no {program}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--peers", type=Path, default=Path("/tmp/queue-peers/bin"), help="bin folder of their venv"
    )
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for what a kill hit")
    parser.add_argument("--only", help="names of peers, separated by commas")
    options = parser.parse_args()
    head()
    rows, notes = [], []
    for peer in PEERS:
        if options.only and peer.name not in options.only.split(","):
            continue
        bin_folder = options.peers if peer.package else Path(sys.executable).parent
        if reason := missing(peer, bin_folder):
            notes.append(f"{peer.title} left out: {reason}")
            continue
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="queue-peers-")))
            folder.chmod(0o755)
            urls = {"redis": "", "postgres": ""}
            if peer.needs:
                (folder / "server").mkdir()
                server = redis if peer.needs == "redis" else postgres
                urls[peer.needs] = stack.enter_context(server(folder / "server"))
            run = Run(peer, folder, bin_folder, urls)
            rows.append([peer.title, *measure(run, options.quick, options.patience)])
            print(rows[-1], flush=True)
    print("\n| | tasks/s | enqueue p50 / p95 us | idle p50 / p95 ms | not done of 500 | twice |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    for note in notes:
        print(note)


if __name__ == "__main__":
    main()
