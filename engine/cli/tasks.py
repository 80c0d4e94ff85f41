"""`offload tasks`: submit, list, show, cancel, retry, purge."""

import json
import sys
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import Any

import click

from engine import clock, lifecycle, registry, tasks
from engine.cli.output import COMMAND_LINE, MOMENT, format_option, print_json, print_table
from engine.errors import Conflict, InvalidInput, NotFound
from engine.queries import tasks as reads
from engine.services import waiting
from engine.words import TaskState

_COLUMNS = {
    "task_id": "TASK",
    "type": "TYPE",
    "state": "STATE",
    "progress": "%",
    "attempt": "ATTEMPT",
    "owner": "OWNER",
    "created_at": "CREATED",
}


@click.group()
def command() -> None:
    """Submit, list, show, cancel, retry and purge tasks."""
    tasks.load()


@command.command("submit")
@click.argument("type_name", metavar="TYPE")
@click.option(
    "--payload", "source", default="", help="A file with the payload as JSON, or - for standard input."
)
@click.option("--count", type=click.IntRange(1, 10_000), help="Submit this many, in one transaction.")
@click.option("--priority", type=click.IntRange(-100, 100), help="Higher runs first.")
@click.option("--run-at", type=MOMENT, help="Not before, with its offset.")
@click.option("--idempotency-key", help="Submit at most once under this key.")
@format_option
def submit(
    type_name: str,
    source: str,
    count: int | None,
    priority: int | None,
    run_at: Any,
    idempotency_key: str | None,
    fmt: str,
) -> None:
    """Submit a task of TYPE."""
    payload = _payload(source)
    if count is None:
        found = lifecycle.submit(
            COMMAND_LINE,
            type_name,
            payload,
            priority=priority,
            idempotency_key=idempotency_key,
            run_at_ms=clock.to_ms(run_at) if run_at else None,
        )
        _show(found.task.document(), fmt)
        return
    if run_at or idempotency_key:
        raise InvalidInput("--count goes with neither --run-at nor --idempotency-key.")
    ids = lifecycle.submit_many(COMMAND_LINE, type_name, [payload] * count, priority=priority)
    _list_ids(ids, fmt)


@command.command("list")
@click.option("--type", "type_name", help="Only this task type.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in TaskState]),
    help="Only this state.",
)
@click.option("--owner", help="Only tasks of this person.")
@click.option("--limit", type=click.IntRange(1, reads.MAX_PAGE), default=50, show_default=True)
@click.option("--cursor", help="Go on where a list ended (`next`).")
@format_option
def list_tasks(
    type_name: str | None,
    states: tuple[str, ...],
    owner: str | None,
    limit: int,
    cursor: str | None,
    fmt: str,
) -> None:
    """List tasks, newest first."""
    page = reads.page(
        COMMAND_LINE,
        type_name=type_name,
        states=[TaskState(s) for s in states],
        owner=owner,
        limit=limit,
        cursor=cursor,
    )
    documents = [task.document() for task in page.items]
    if fmt == "json":
        print_json({"items": documents, "next": page.next})
        return
    print_table([_row(document) for document in documents], _COLUMNS, "No tasks.")
    if page.next:
        click.echo(f"More: --cursor {page.next}")


@command.command("show")
@click.argument("task_id")
@format_option
def show(task_id: str, fmt: str) -> None:
    """Show one task with its timeline."""
    task = reads.visible(COMMAND_LINE, task_id)
    if task is None:
        raise NotFound(f"There is no task {task_id}.")
    moments, reason = reads.timeline(task_id), waiting.why(task, UTC)
    if fmt == "json":
        timeline = [{"at": clock.iso(m.at_ms), "what": m.what, "who": m.who, "why": m.why} for m in moments]
        print_json(
            {
                **task.document(),
                "waiting": asdict(reason) if reason else None,
                "timeline": timeline,
                "attempts": reads.attempts_of(task_id),
            }
        )
        return
    _show(task.document(), fmt)
    if reason:
        click.echo(f"         waiting  {reason.sentence}")
    if doubt := waiting.doubt(task, UTC):
        click.echo(f"           doubt  {doubt}")
    for m in moments:
        click.echo(f"  {clock.iso(m.at_ms)}  {m.what:<24} {m.who}  {m.why}".rstrip())


@command.command("cancel")
@click.argument("task_id")
@format_option
def cancel(task_id: str, fmt: str) -> None:
    """Cancel a waiting task, or ask a running one to stop."""
    done = lifecycle.cancel(COMMAND_LINE, task_id)
    if done.outcome == "ended":
        raise Conflict(f"The task has ended: it is {done.task.state}.", code="already_ended")
    if fmt == "json":
        print_json(done.task.document())
    else:
        click.echo("Cancelled." if done.outcome == "cancelled" else "Asked to stop.")


@command.command("retry")
@click.argument("task_id")
@click.option("--payload", "source", default="", help="Submit a new task with this edited payload instead.")
@format_option
def retry(task_id: str, source: str, fmt: str) -> None:
    """Run a failed, cancelled or expired task again."""
    payload = _payload(source) if source else None
    _show(lifecycle.retry(COMMAND_LINE, task_id, payload).task.document(), fmt)


@command.command("purge")
@click.option("--type", "type_name", help="Only this task type.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@format_option
def purge(type_name: str | None, dry_run: bool, yes: bool, fmt: str) -> None:
    """Cancel all waiting tasks; nothing is deleted, and each may be run again. Asks first at a terminal."""
    n_waiting = reads.n_waiting(type_name, [t.name for t in registry.all_types() if t.system])
    if n_waiting and not (dry_run or yes) and sys.stdin is not None and sys.stdin.isatty():
        click.confirm(f"Cancel {n_waiting} waiting tasks?", abort=True, err=True)
    n_purged = 0 if dry_run else lifecycle.purge(COMMAND_LINE, type_name)
    if fmt == "json":
        print_json({"n_waiting": n_waiting, "n_cancelled": n_purged})
    elif dry_run:
        click.echo(f"{n_waiting} waiting tasks would be cancelled.")
    else:
        click.echo(f"{n_purged} waiting tasks cancelled.")


def _payload(source: str) -> dict[str, Any]:
    if not source:
        return {}
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
        payload = json.loads(text.removeprefix("\ufeff"))  # as editors on Windows begin a file
    except OSError as error:
        raise InvalidInput(f"Cannot read the payload: {error.strerror}: {source}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The payload is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise InvalidInput("The payload must be a JSON object.")
    return payload


def _show(document: dict[str, Any], fmt: str) -> None:
    if fmt == "json":
        print_json(document)
        return
    for key, value in document.items():
        if value is not None and key != "links":
            click.echo(f"{key:>16}  {value}")


def _row(document: dict[str, Any]) -> dict[str, Any]:
    """Return a line of the list, with the flags beside the state."""
    said = [document["state"], *(flag for flag in ("late", "stalled") if document[flag])]
    return {**document, "state": ", ".join(said)}


def _list_ids(ids: list[str], fmt: str) -> None:
    if fmt == "json":
        found = reads.in_order(ids)
        print_json({"items": [task.document() for task in found]})
    else:
        click.echo(f"{len(ids)} tasks submitted, {ids[0]} to {ids[-1]}.")
