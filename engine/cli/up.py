"""`./offload up`: start pages, api and worker, keep them running, end them together."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from engine import settings, tasks
from engine.errors import InvalidInput, Unavailable
from engine.lib import addresses, ports
from engine.lib.printer import Printer
from engine.lib.supervise import HEALTH, Program, Supervisor, answers_http
from engine.records import db, workers
from engine.services import access

ROOT = Path(__file__).parents[2]
PORT = click.IntRange(1, 65535)
_WEB_GRACE_S = 5
_WORKER_MARGIN_S = 3


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8501, show_default=True, type=PORT, help="Port of the pages.")
@click.option("--api-port", type=PORT, help="Port of the HTTP interface  [default: PORT+1]")
@click.option("--workers", "n_threads", type=click.IntRange(1, 64), help="Threads of the one consumer.")
@click.option("--reload", is_flag=True, help="For development: start anew when the source changes.")
def command(host: str, port: int, api_port: int | None, n_threads: int | None, reload: bool) -> None:
    """Start pages, api and worker, print their addresses, and keep them running."""
    options = {"--port": port, "--api-port": api_port or port + 1}
    check_ports(host, options)
    check_task_modules()
    check_data()
    for message in addresses.never_opened():
        click.echo(f"Warning: {message}", err=True)
    printer = Printer(sys.stderr.buffer)
    supervisor = Supervisor(
        programs(host, *options.values(), n_threads=n_threads, reload=reload),
        output=partial(show_line, printer.write, readable=sys.stderr.isatty()),
        on_ready=partial(announce, host, *options.values()),
        changed=source_watch(ROOT / "engine") if reload else None,
    )
    status = supervisor.run()
    printer.close()
    sys.exit(status)


def check_ports(host: str, options: Mapping[str, int]) -> None:
    """Raise, before anything has started, when a port cannot be had; `options` are those that choose them."""
    if len(set(options.values())) < len(options):
        raise InvalidInput(
            f"{' and '.join(options)} must differ.", fields=dict.fromkeys(options, "must differ")
        )
    for option, port in options.items():
        if why := ports.why_not(host, port):
            hint = f"choose another with {option}, for example {option} {ports.free()}"
            raise Unavailable(f"{why[0].upper()}{why[1:]}; {hint}.", code="port")


def check_task_modules() -> None:
    """Raise InvalidInput for a module of task types that cannot be imported: each process would die of it."""
    if settings.get().task_modules:  # without any, 13 MB are saved that a supervisor does not need
        tasks.load()


def check_data() -> None:
    """Open the database, which makes it on the first start; raise Unavailable when that cannot be done."""
    folder = settings.get().data_dir
    try:
        db.main().version()
    except db.Damaged as error:
        message = f"Cannot open the database in {folder}: {error}. Run ./offload doctor."
        raise Unavailable(message, code="database") from error


def programs(host: str, port: int, api_port: int, *, n_threads: int | None, reload: bool) -> list[Program]:
    """Describe the three processes."""
    chosen = {"OFFLOAD_WORKERS": str(n_threads)} if n_threads else {}
    environment = settings.environment(
        OFFLOAD_DATA_DIR=str(settings.get().data_dir), PYTHONUNBUFFERED="1", **chosen
    )
    found = [str(ROOT), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(found))  # task modules may lie elsewhere
    here = ports.reach(host)
    pages = ["streamlit", "run", "streamlit_app.py", f"--server.address={host}", f"--server.port={port}"]
    watch = ["--server.fileWatcherType=auto", "--server.runOnSave=true"] if reload else []
    api = ["uvicorn", "engine.web.app:api", f"--host={host}", f"--port={api_port}"]
    quiet = ["--no-access-log", "--log-level=warning", "--timeout-graceful-shutdown=3"]
    worker = ["huey.bin.huey_consumer", "engine.worker.huey"]
    worker_grace_s = settings.get().shutdown_s + _WORKER_MARGIN_S

    def program(name: str, arguments: list[str], answers: Callable[[int], bool], grace_s: float) -> Program:
        return Program(name, [sys.executable, "-P", "-m", *arguments], environment, ROOT, answers, grace_s)

    return [
        program(
            "pages",
            [*pages, *watch],
            lambda _: answers_http(here, port, "/_stcore/health", HEALTH),
            _WEB_GRACE_S,
        ),
        program("api", [*api, *quiet], lambda _: answers_http(here, api_port, HEALTH), _WEB_GRACE_S),
        program("worker", worker, worker_answers, worker_grace_s),
    ]


def worker_answers(pid: int) -> bool:
    """Tell whether the consumer with this pid has registered itself."""
    with db.main().snapshot() as reader:
        return any(row["pid"] == pid for row in workers.live(reader))


def announce(host: str, port: int, api_port: int) -> None:
    """Print the addresses and, as long as no administrator has signed in, a link to do so."""
    api, pages = ports.url(host, api_port), settings.get().public_url or ports.url(host, port)
    access.remember_address(pages)
    lines = [
        "",
        "  Offload is running.",
        "",
        f"    Pages    {pages}",
        f"    API      {api}   (documentation: {api}/api/docs)",
        f"    Data     {settings.get().data_dir}",
    ]
    if (link := access.first_link()) is not None:
        hours = settings.get().signin_link_h
        lines += [
            "",
            f"    Sign in  {pages}{link}",
            f"             (once, within {hours:g} h, as the administrator)",
        ]
    with suppress(BrokenPipeError):  # whoever read our output may have left
        click.echo("\n".join([*lines, "", "  Ctrl-C ends everything.", ""]))
        sys.stdout.flush()


def show_line(write: Callable[[str], None], name: str, line: str, *, readable: bool) -> None:
    """Print one line of a process behind its name; JSON is laid out for a person at a terminal."""
    if line.strip():
        write(f"{name:<6} | {lay_out(line) if readable else line}")


def lay_out(line: str) -> str:
    """Turn a JSON log line into time, level, event and the rest as name=value; leave other lines alone."""
    try:
        entry = json.loads(line)
        event = entry.pop("event")
    except (ValueError, AttributeError, KeyError, TypeError):
        return line
    time, level = str(entry.pop("timestamp", ""))[11:19], str(entry.pop("level", ""))
    trace = entry.pop("exception", None)
    entry.pop("service", None)
    rest = "".join(f"  {name}={value}" for name, value in entry.items())
    return f"{time} {level:<7} {event}{rest}" + (f"\n{trace}" if trace else "")


def source_watch(folder: Path) -> Callable[[], bool]:
    """Return a function that tells whether a Python file below changed since it was last asked."""

    def state() -> dict[Path, int]:
        # an editor that replaces a file may take it away for a moment
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*.py") if path.exists()}

    last = state()

    def changed() -> bool:
        nonlocal last
        before, last = last, state()
        return before != last

    return changed
