"""`./offload demo`: an example shop, watched for a few minutes, with real requests and real work."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click

from engine import clock, settings
from engine.cli.output import format_option, print_json
from engine.cli.up import check_data, show_line, worker_answers
from engine.lib import ports
from engine.lib.printer import Printer
from engine.lib.supervise import HEALTH, Program, Supervisor, answers_http
from engine.queries.performance import wording
from engine.records import db, removal
from engine.services import access, demo, monitor
from engine.words import SYSTEM

ROOT = Path(__file__).parents[2]
HOST = ports.LOOPBACK
FINISH_S = 90
"""How long the work that was handed over may take after the last customer has left."""


@click.command()
@click.option("--minutes", default=3.0, show_default=True, type=click.FloatRange(0.1, 60), help="How long.")
@click.option("--remove", is_flag=True, help="Take out everything of earlier demos instead.")
@format_option
def command(minutes: float, remove: bool, fmt: str) -> None:
    """Run an example shop for a few minutes and leave its measurements on the pages."""
    check_data()
    monitor.close_dead_recorders(clock.now_ms())
    demo.check_room()
    if remove:
        _remove(fmt)
        return
    demo.join()
    began_ms = clock.now_ms()
    status = _Demo(minutes, access.new_token(SYSTEM, demo.OWNER, "demo")).run()
    if status:
        sys.exit(status)
    _summary(began_ms, fmt)


class _Demo:
    """Four programs beside each other, and the customers once they answer."""

    def __init__(self, minutes: float, token: str) -> None:
        self._seconds = minutes * 60
        self._printer = Printer(sys.stderr.buffer)
        self._ports = {name: ports.free() for name in ("supplier", "api", "shop")}
        self._token = token
        self._status = 0

    def run(self) -> int:
        """Run everything; return 0 when the customers came to their end."""
        supervisor = Supervisor(self._programs(), output=self._show, on_ready=self._open)
        stopped = supervisor.run()
        self._printer.close()
        return self._status or stopped

    def _programs(self) -> list[Program]:
        supplier, api, shop = (ports.url(HOST, port) for port in self._ports.values())
        allowed = settings.get().allowed_private_hosts
        private = f"{HOST}:{self._ports['supplier']}"
        common = settings.environment(
            OFFLOAD_DATA_DIR=str(settings.get().data_dir),
            PYTHONPATH=str(ROOT),
            PYTHONUNBUFFERED="1",
            OFFLOAD_ALLOWED_PRIVATE_HOSTS=f"{allowed},{private}" if allowed else private,
            OFFLOAD_CALL_PORTS=f"{settings.get().call_ports},{self._ports['supplier']}",
            OFFLOAD_TASK_MODULES="examples.shop.tasks",
            OFFLOAD_SERVICE=demo.OFFLOAD_SERVICE,
        )
        of_shop = {
            **common,
            "OFFLOAD_SERVICE": demo.SERVICE,
            "HANDOVER_URL": api,
            "HANDOVER_TOKEN": self._token,
            "SUPPLIER_URL": supplier,
        }
        self._customers = [sys.executable, "-P", "-m", "examples.shop.customers", shop, str(self._seconds)]
        self._environment = of_shop
        return [
            self._server("supplier", "examples.shop.supplier:app", common, "/health"),
            self._server("api", "engine.web.app:api", common, HEALTH),
            self._program("worker", ["huey.bin.huey_consumer", "engine.worker.huey"], common, worker_answers),
            self._server("shop", "examples.shop.app:app", of_shop, "/health"),
        ]

    def _server(self, name: str, app: str, environment: dict[str, str], path: str) -> Program:
        port = self._ports[name]
        quiet = ["--no-access-log", "--log-level=warning", "--timeout-graceful-shutdown=3"]
        arguments = ["uvicorn", app, f"--host={HOST}", f"--port={port}", *quiet]
        return self._program(name, arguments, environment, lambda _: answers_http(HOST, port, path))

    def _program(
        self, name: str, arguments: list[str], environment: dict[str, str], answers: Callable[[int], bool]
    ) -> Program:
        return Program(name, [sys.executable, "-P", "-m", *arguments], environment, ROOT, answers, 15)

    def _open(self) -> None:
        click.echo(f"The shop is open for {self._seconds:.0f} s.", err=True)
        threading.Thread(target=self._visit, daemon=True).start()

    def _visit(self) -> None:
        """Let the customers in, wait for the work they left, then end everything."""
        try:
            process = subprocess.Popen(
                self._customers, env=self._environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            for number, line in enumerate(process.stdout):
                if not number % 15:
                    _progress(line)
            self._status = process.wait()
            until = clock.elapsed() + FINISH_S
            while removal.n_running(db.main(), demo.OWNER) and clock.elapsed() < until:
                threading.Event().wait(0.5)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def _show(self, name: str, line: str) -> None:
        if '"level": "error"' in line or "Traceback" in line:
            show_line(self._printer.write, name, line, readable=True)


def _progress(line: str) -> None:
    try:
        told = json.loads(line)
    except ValueError:
        return
    click.echo(f"  {told['seconds']:5.0f} s  {told['sent']} requests, {told['failed']} failed", err=True)


def _summary(began_ms: int, fmt: str) -> None:
    found = [*demo.pairs(began_ms), *((("Checkout", c),) if (c := demo.release(began_ms)) else ())]
    if fmt == "json":
        items = [
            {
                "title": title,
                "before": comparison.label_before,
                "after": comparison.label_after,
                "n_before": comparison.n_before,
                "n_after": comparison.n_after,
                "direction": comparison.direction,
                "verdict": comparison.verdict,
            }
            for title, comparison in found
        ]
        print_json({"service": demo.SERVICE, "items": items})
        return
    for title, comparison in found:
        before, after = (comparison.change("p50"), comparison.change("p95"))
        click.echo(f"\n{title}: {comparison.label_before} -> {comparison.label_after}")
        click.echo(f"  {comparison.verdict}")
        if before and after:
            medians = f"{wording.duration(before.before_ms)} -> {wording.duration(before.after_ms)}"
            click.echo(f"  median {medians}")
    click.echo("\nThe pages Performance and Before and after show it: choose the service shop.")
    click.echo("./offload demo --remove takes all of it out again.")


def _remove(fmt: str) -> None:
    removed = demo.remove()
    if fmt == "json":
        print_json(removed.__dict__)
    else:
        click.echo(f"Removed {removed.n_series} series, {removed.n_tasks} tasks and {removed.n_files} files.")


__all__ = ["command"]
