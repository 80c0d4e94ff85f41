"""What commands share: the format option, JSON on standard output, plain tables, the actor."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from engine.lib.storable import storable
from engine.words import Actor, Role

COMMAND_LINE = Actor("system", Role.ADMIN, "cli")
"""Who acts on the command line: whoever may read the data folder owns the installation."""
MOMENT = click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"])
"""A time with its offset, as people and our own documents write it."""

Command = TypeVar("Command", bound=Callable[..., Any])


def format_option(function: Command) -> Command:
    """Add `--format text|json`, given to the command as `fmt`."""
    return click.option(
        "--format",
        "fmt",
        type=click.Choice(["text", "json"]),
        default="text",
        help="How to print the answer.",
    )(function)


def print_json(document: Any) -> None:
    """Print one JSON document; half a surrogate pair, which has no UTF-8 form, stays escaped."""
    text = json.dumps(document, ensure_ascii=False, default=str)
    click.echo(text if storable(text) == text else json.dumps(document, default=str))


def print_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], empty: str) -> None:
    """Print chosen columns (key to heading) of rows; `empty` where there are none."""
    if not rows:
        click.echo(empty)
        return
    cells = [[str(row.get(key) if row.get(key) is not None else "-") for key in columns] for row in rows]
    widths = [max(len(h), *(len(r[i]) for r in cells)) for i, h in enumerate(columns.values())]
    for line in [list(columns.values()), *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
