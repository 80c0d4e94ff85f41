"""`offload doctor`: check the installation and say what to do."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain

import click

from engine import tasks
from engine.cli.output import format_option, print_json
from engine.errors import InvalidInput
from engine.services import doctor

PORT = click.IntRange(1, 65535)
_MARKS = {"ok": "ok     ", "warning": "WARNING", "error": "ERROR  "}


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the processes listen on.")
@click.option("--port", default=8501, show_default=True, type=PORT, help="Port of the pages.")
@click.option("--api-port", type=PORT, help="Port of the HTTP interface  [default: PORT+1]")
@click.option(
    "--probe/--no-probe", default=True, help="Send a task through and time it (when a worker is alive)."
)
@format_option
def command(host: str, port: int, api_port: int | None, probe: bool, fmt: str) -> None:
    """Check settings, libraries, database, disk, clock, ports and worker; exit 1 on an error."""
    options = doctor.Options(host, port, api_port or port + 1, probe)
    findings = []
    if fmt == "text":
        click.echo(doctor.about())
    for finding in chain(task_modules(), doctor.examine(options)):
        findings.append(finding)
        if fmt == "text":
            _show(finding)
    n_errors = sum(finding.level == "error" for finding in findings)
    n_warnings = sum(finding.level == "warning" for finding in findings)
    if fmt == "json":
        items = [asdict(finding) for finding in findings]
        print_json({"about": doctor.about(), "ok": not n_errors, "findings": items})
    else:
        click.echo(f"\n{_counted(n_errors, 'error')}, {_counted(n_warnings, 'warning')}.")
    sys.exit(bool(n_errors))


def task_modules() -> Iterator[doctor.Finding]:
    """Load the task types; yield what keeps those of one's own out."""
    try:
        tasks.load()
    except InvalidInput as error:
        if tasks.VARIABLE not in error.fields:
            raise
        todo = f"Repair the module, or take it out of {tasks.VARIABLE}."
        yield doctor.Finding("S006", "error", "settings", error.fields[tasks.VARIABLE], todo)


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _show(finding: doctor.Finding) -> None:
    click.echo(f"  {_MARKS[finding.level]}  {finding.id}  {finding.subject:<9} {finding.message}")
    if finding.todo:
        click.echo(f"{'':28} {finding.todo}")
