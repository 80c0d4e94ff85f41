"""`offload workers`: who is at work."""

import click

from engine.cli.output import format_option, print_json, print_table
from engine.queries import workers

_COLUMNS = {
    "worker_id": "WORKER",
    "state": "STATE",
    "threads": "THREADS",
    "n_tasks": "RUNNING",
    "memory_mb": "MEMORY MB",
    "cpu_percent": "CPU %",
    "started_at": "STARTED",
}


@click.group()
def command() -> None:
    """List the workers."""


@command.command("list")
@format_option
def list_workers(fmt: str) -> None:
    """List the consumer processes of the last 24 hours, live ones first."""
    documents = [worker.document() for worker in workers.listing()]
    if fmt == "json":
        print_json({"items": documents, "next": None})
        return
    rows = [
        {**d, "n_tasks": len(d["tasks"]), "memory_mb": (d["memory_bytes"] or 0) // 2**20} for d in documents
    ]
    print_table(rows, _COLUMNS, "No worker has run in the last 24 hours. Start one: ./offload up")
