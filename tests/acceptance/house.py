"""Start the real processes on a temporary data folder, talk to them, kill them, and leave none behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from engine.lib import ports

ROOT = Path(__file__).parents[2]
NAMES = {"pages": "streamlit", "api": "uvicorn", "worker": "huey_consumer"}
READY_S = 60
END_S = 20
"""What `up` promises for Ctrl-C and SIGTERM."""


class House:
    """One installation: its data folder, its ports and what runs on them."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """`settings` are environment variables without `OFFLOAD_`, for example `LEASE_S="3"`."""
        self.folder, self.data_dir = folder, folder / "data"
        self.port, self.api_port = ports.free(), ports.free()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OFFLOAD_")}
        self.environment = {
            **clean,
            "OFFLOAD_DATA_DIR": str(self.data_dir),
            "PYTHONPATH": str(ROOT),
            **{f"OFFLOAD_{name}": value for name, value in settings.items()},
        }
        self.up: psutil.Popen | None = None
        self.logs: list[Path] = []
        self._clients: list[httpx.Client] = []

    # Start and end

    def start(self, *options: str, ready: bool = True) -> "House":
        """Run `up`; wait until it has printed the addresses unless told otherwise."""
        ours = ["--port", str(self.port), "--api-port", str(self.api_port)]
        self.up = self.spawn("-m", "engine", "up", *ours, *options)
        if ready:
            self.wait(lambda: "Offload is running." in self.output() or not self.is_up(), "the addresses")
            assert self.is_up(), f"up ended with {self.up.poll()}\n{self.log_tail()}"
        return self

    def spawn(self, *arguments: str) -> psutil.Popen:
        """Run this Python with arguments in the environment of the house; what it prints is collected."""
        log = self.folder / f"log-{len(self.logs)}.txt"
        self.logs.append(log)
        with log.open("wb") as file:
            return psutil.Popen(
                [sys.executable, "-P", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask `up` to end, and return its exit status; raise if it takes longer than it may."""
        assert self.up is not None
        self.up.send_signal(number)
        return int(self.up.wait(END_S))

    def clear(self) -> list[str]:
        """Kill whatever is left of this house; return what ought not to have been there."""
        for client in self._clients:
            client.close()
        if self.up is not None and self.is_up():
            with suppress(psutil.Error, psutil.TimeoutExpired):
                self.stop()
        left = self.processes()
        described = [f"{process.pid} {' '.join(_cmdline(process))[:150]}" for process in left]
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        return described

    # Look

    def is_up(self) -> bool:
        return self.up is not None and self.up.poll() is None

    def output(self) -> str:
        """Return everything printed so far."""
        return "".join(log.read_text(errors="replace") for log in self.logs)

    def log_tail(self, lines: int = 60) -> str:
        return "\n".join(self.output().splitlines()[-lines:])

    def processes(self) -> list[psutil.Process]:
        """Return the live processes that work on this data folder, whoever their parent is."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def pid(self, name: str) -> int | None:
        """Return the process `pages`, `api` or `worker`, None while it is not there."""
        if not self.is_up():
            return None
        assert self.up is not None
        for child in self.up.children():
            if any(NAMES[name] in word for word in _cmdline(child)[:6]):
                return int(child.pid)
        return None

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to `pages`, `api` or `worker`, and return its pid."""
        pid = self.pid(name)
        assert pid is not None, f"{name} does not run\n{self.log_tail()}"
        os.kill(pid, number)
        return pid

    def wait(self, happened: Callable[[], Any], what: str, within_s: float = READY_S) -> Any:
        """Return the first true value of `happened`; fail with the log when there is none in time."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            if value := happened():
                return value
            time.sleep(0.05)
        raise AssertionError(f"waited {within_s} s for {what}\n{self.log_tail()}")

    # Talk

    def cli(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line to its end."""
        command = [sys.executable, "-P", "-m", "engine", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, input=input or "", capture_output=True, text=True
        )

    def cli_json(self, *arguments: str, input: str | None = None) -> Any:
        """Run a command with `--format json` and return its document."""
        done = self.cli(*arguments, "--format", "json", input=input)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def sign_in_path(self) -> str:
        """Return the path of the one-time link that `up` printed."""
        found = re.findall(r"/auth/login\?token=[\w-]+", self.output())
        assert found, self.log_tail()
        return found[-1]

    def token(self, name: str, role: str) -> str:
        """Make a person (unless there) and return an API token of theirs."""
        self.cli("users", "add", name, "--role", role)
        done = self.cli("users", "token", name)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def client(self, role: str = "admin", *, pages: bool = False) -> httpx.Client:
        """Return a client of the api (or of the pages) that carries a token of somebody with this role."""
        return self.visitor(
            pages=pages, headers={"Authorization": f"Bearer {self.token(f'test-{role}', role)}"}
        )

    def visitor(self, *, pages: bool = False, **options: Any) -> httpx.Client:
        """Return a client that is nobody yet."""
        base = ports.url(ports.LOOPBACK, self.port if pages else self.api_port)
        client = httpx.Client(base_url=base, timeout=30, trust_env=False, **options)
        self._clients.append(client)
        return client

    def task(self, client: httpx.Client, task_id: str) -> dict[str, Any]:
        """Return a task's document."""
        answer = client.get(f"/async-monitoring/tasks/{task_id}/status/")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def ended(self, client: httpx.Client, task_id: str, within_s: float = READY_S) -> dict[str, Any]:
        """Wait until a task has ended and return its document."""

        def look() -> dict[str, Any] | None:
            document = self.task(client, task_id)
            return document if document["state"] in ("succeeded", "failed", "cancelled", "expired") else None

        document: dict[str, Any] = self.wait(look, f"the end of task {task_id}", within_s)
        return document

    def _owns(self, process: psutil.Process) -> bool:
        try:
            environment = process.environ()
            mine = environment.get("OFFLOAD_DATA_DIR") == str(self.data_dir)
            return mine and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
        return words
    except psutil.Error:
        return []


def running(folder: Path, **settings: str) -> Iterator[House]:
    """Run a house for the length of a fixture; nothing of it may be left at the end."""
    house = House(folder, **settings)
    try:
        yield house.start()
    finally:
        left = house.clear()
    assert left == [], f"left behind: {left}"
