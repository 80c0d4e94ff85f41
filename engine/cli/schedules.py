"""`offload schedules`: list, show, add, change, pause, resume, run-now, remove, stats, forecast."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from engine import clock, tasks
from engine.cli.output import COMMAND_LINE, format_option, print_json, print_table
from engine.errors import InvalidInput, NotFound
from engine.queries import schedules as reads
from engine.records.schedules import Schedule
from engine.services import schedules
from engine.services.schedules.forecast import forecast as load_forecast

_COLUMNS = {
    "schedule_id": "SCHEDULE",
    "name": "NAME",
    "cron": "CRON",
    "zone": "ZONE",
    "type": "TYPE",
    "owner": "OWNER",
    "on": "ON",
    "next_run": "NEXT",
}
_HOUR_MS = 3_600_000


@click.group()
def command() -> None:
    """List, add, change, pause, resume, run and remove schedules."""
    tasks.load()


@command.command("list")
@click.option("--search", default="", help="Part of the name.")
@click.option("--limit", type=click.IntRange(1, reads.MAX_PAGE), default=50, show_default=True)
@click.option("--cursor", help="Go on where a list ended (`next`).")
@format_option
def list_schedules(search: str, limit: int, cursor: str | None, fmt: str) -> None:
    """List schedules by name."""
    page = reads.page(COMMAND_LINE, search=search, limit=limit, cursor=cursor)
    documents = [item.document() for item in page.items]
    if fmt == "json":
        print_json({"items": documents, "next": page.next})
        return
    rows = [{**d, "on": "yes" if d["enabled"] else "no"} for d in documents]
    print_table(rows, _COLUMNS, "No schedules.")
    if page.next:
        click.echo(f"More: --cursor {page.next}")


@command.command("show")
@click.argument("schedule_id")
@format_option
def show(schedule_id: str, fmt: str) -> None:
    """Show one schedule with its last occurrences and its history."""
    schedule = reads.visible(COMMAND_LINE, schedule_id)
    if schedule is None:
        raise NotFound(f"There is no schedule {schedule_id}.")
    occurrences = [o.document() for o in reads.occurrences(schedule.id, limit=reads.STRIP)]
    history = reads.history(schedule.id)
    if fmt == "json":
        print_json({**schedule.document(), "occurrences": occurrences, "history": history})
        return
    _print(schedule, fmt)
    print_table(occurrences, {"due_at": "DUE", "status": "STATUS", "task_id": "TASK", "reason": "REASON"}, "")
    for change in history:
        click.echo(f"  {change['at']}  {change['action']:<10} {change['actor']}")


@command.command("add")
@click.option("--name", help="Unique among the schedules of the installation.")
@click.option("--cron", help="Five fields, or @daily and the like.")
@click.option("--tz", "--zone", "zone", help="Zone of the tz database.  [default: UTC]")
@click.option("--type", "type_name", help="Task type.")
@click.option("--payload", "source", help="The payload: JSON, a file with it, or - for standard input.")
@click.option("--catch-up", help="What happens to missed due times: skip, last or all.")
@click.option("--catch-up-max", type=int, help="Most missed due times made up.")
@click.option("--overlap", help="While the task before runs: allow, skip or queue.")
@click.option("--jitter-s", type=int, help="Spread the starts over so many seconds.")
@click.option("--priority", type=int, help="Higher runs first.")
@click.option("--start", help="No due time before, ISO 8601.")
@click.option("--end", help="No due time after, ISO 8601.")
@click.option("--note", help="For people.")
@click.option("--paused", is_flag=True, help="Do not run until it is resumed.")
@click.option("--batch", help="Up to 500 schedules from a CSV or JSON file, or -; all or nothing.")
@format_option
def add(
    type_name: str | None, source: str | None, paused: bool, batch: str | None, fmt: str, **fields: Any
) -> None:
    """Add a schedule, or a batch of them."""
    if batch is not None:
        _add_batch(batch, fmt)
        return
    given = {name: value for name, value in fields.items() if value is not None}
    if type_name is not None:
        given["type"] = type_name
    if source is not None:
        given["payload"] = _payload(source)
    _print(schedules.create(COMMAND_LINE, {**given, "enabled": not paused}), fmt)


@command.command("change")
@click.argument("schedule_id")
@click.option("--set", "fields", multiple=True, metavar="FIELD=VALUE", help="A field; the payload as JSON.")
@format_option
def change(schedule_id: str, fields: tuple[str, ...], fmt: str) -> None:
    """Change fields of a schedule; new times are planned from now on."""
    given: dict[str, Any] = {}
    for item in fields:
        name, equals, value = item.partition("=")
        if not equals:
            raise InvalidInput(f"Write --set FIELD=VALUE, not {item}.")
        given[name] = _payload(value) if name == "payload" else value
    _print(schedules.change(COMMAND_LINE, schedule_id, given), fmt)


@command.command("pause")
@click.argument("schedule_id")
@format_option
def pause(schedule_id: str, fmt: str) -> None:
    """Pause a schedule."""
    _print(schedules.pause(COMMAND_LINE, schedule_id), fmt)


@command.command("resume")
@click.argument("schedule_id")
@format_option
def resume(schedule_id: str, fmt: str) -> None:
    """Resume a schedule from now on."""
    _print(schedules.resume(COMMAND_LINE, schedule_id), fmt)


@command.command("run-now")
@click.argument("schedule_id")
@format_option
def run_now(schedule_id: str, fmt: str) -> None:
    """Submit the schedule's task at once; the plan does not move."""
    task = schedules.run_now(COMMAND_LINE, schedule_id)
    if fmt == "json":
        print_json(task.document())
    else:
        click.echo(f"Task {task.id} submitted.")


@command.command("remove")
@click.argument("schedule_id")
@click.option("--cancel-waiting", is_flag=True, help="Cancel its tasks that have not begun.")
@format_option
def remove(schedule_id: str, cancel_waiting: bool, fmt: str) -> None:
    """Remove a schedule; its history is kept."""
    done = schedules.remove(COMMAND_LINE, schedule_id, waiting="cancel" if cancel_waiting else "keep")
    if fmt == "json":
        print_json({"n_cancelled": done.n_cancelled, "n_kept": done.n_kept})
    else:
        click.echo(f"Removed; {done.n_cancelled} waiting tasks cancelled, {done.n_kept} kept.")


@command.command("stats")
@click.option("--hours", type=click.IntRange(1, 24 * 366), default=24 * 7, show_default=True)
@format_option
def stats(hours: int, fmt: str) -> None:
    """Compare what was expected with what happened."""
    since_ms = clock.now_ms() - hours * _HOUR_MS
    documents = [found.document() for found in reads.stats(COMMAND_LINE, since_ms)]
    if fmt == "json":
        print_json({"since": clock.iso(since_ms), "items": documents})
        return
    rows = [{"name": d["name"], "expected": d["expected"], **d["by_status"]} for d in documents]
    headings = {name: name.replace("_", " ").upper() for name in ("name", "expected", *reads.STATUSES)}
    print_table(rows, headings, "No schedules.")


@command.command("forecast")
@format_option
def forecast(fmt: str) -> None:
    """Show the load of the next seven days."""
    found = load_forecast(COMMAND_LINE)
    if fmt == "json":
        print_json(found.document())
        return
    click.echo(f"{found.total} tasks of {found.n_schedules} schedules in the next 7 days (UTC).")
    for at_ms, n in found.busiest():
        click.echo(f"  {clock.iso(at_ms)}  {n} tasks in this minute")
    for begin_ms, end_ms in found.full():
        click.echo(f"  all {found.n_threads} workers busy from {clock.iso(begin_ms)} to {clock.iso(end_ms)}")


def _add_batch(source: str, fmt: str) -> None:
    rows = schedules.read_rows(_read(source))
    added = schedules.create_many(COMMAND_LINE, rows)
    if fmt == "json":
        print_json({"items": [schedule.document() for schedule in added]})
    else:
        click.echo(f"{len(added)} schedules added.")


def _payload(source: str) -> Any:
    text = source if source.lstrip().startswith("{") else _read(source).decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The payload is not JSON: {error}.", fields={"payload": "not JSON"}) from error


def _read(source: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise InvalidInput(f"Cannot read {source}: {error.strerror}.") from error


def _print(schedule: Schedule, fmt: str) -> None:
    document = schedule.document()
    if fmt == "json":
        print_json(document)
        return
    for name, value in document.items():
        if value not in (None, ""):
            click.echo(f"{name:>13}  {value}")
