"""`cron next | validate | describe | frequency`: one expression, or JSON lines through `--batch -`."""

import json
from collections.abc import Callable
from typing import IO, Any

import click

from engine.cli.output import format_option, print_json
from engine.errors import InvalidInput
from engine.services import cron

Make = Callable[[cron.Request], dict[str, Any]]
AsText = Callable[[dict[str, Any]], str]
Command = Callable[..., None]

_LINE_BYTES = 64 * 1024
"""A line of a batch is shorter than this; a longer one is refused and skipped."""
_DAY_S = 86_400


class Invalid(click.ClickException):
    """The message about an expression, with a caret under the wrong character."""

    exit_code = 2


@click.group()
def command() -> None:
    """Preview, check and explain cron expressions, as Debian's cron reads them."""


def _verb(name: str) -> Callable[[Command], click.Command]:
    """Make a subcommand with the options all share; an expression may begin with a dash."""

    def decorate(function: Command) -> click.Command:
        for option in (
            click.option("--batch", type=click.File("rb"), help="JSON lines from a file, or - for stdin."),
            format_option,
            click.option("--tz", "--zone", "zone", help="Zone of the tz database.  [default: UTC]"),
            click.argument("expression", required=False, metavar="EXPR"),
        ):
            function = option(function)
        return command.command(name, context_settings={"ignore_unknown_options": True})(function)

    return decorate


@_verb("next")
@click.option("--start", help="ISO 8601; without an offset it is time of the zone.  [default: now]")
@click.option("--count", help=f"How many runs.  [default: {cron.DEFAULT_COUNT}]")
def next_(fmt: str, batch: IO[bytes] | None, **request: str | None) -> None:
    """Print the next runs strictly after the start, within 365 days."""
    _answer(cron.next_runs, _runs_text, fmt, batch, request)


@_verb("validate")
def validate(fmt: str, batch: IO[bytes] | None, **request: str | None) -> None:
    """Check an expression; exit status 2 and the wrong character if it is not valid."""
    _answer(cron.validate, _validity_text, fmt, batch, request)


@_verb("describe")
def describe(fmt: str, batch: IO[bytes] | None, **request: str | None) -> None:
    """Say in English when an expression runs."""
    _answer(cron.describe, _description_text, fmt, batch, request)


@_verb("frequency")
@click.option("--start", help="ISO 8601: count from this day on.  [default: now]")
def frequency(fmt: str, batch: IO[bytes] | None, **request: str | None) -> None:
    """Count the runs per hour, day and year, and the gaps between them."""
    _answer(cron.frequency, _frequency_text, fmt, batch, request)


def _answer(
    make: Make, as_text: AsText, fmt: str, batch: IO[bytes] | None, request: dict[str, str | None]
) -> None:
    """Answer one expression, or a batch, whose answers are always JSON lines."""
    expression = request["expression"]
    if (batch is None) == (expression is None):
        raise click.UsageError("Give either an expression or --batch -.")
    if batch is not None:
        _answer_batch(make, batch, request)
        return
    try:
        document = make(request)
    except InvalidInput as error:
        if fmt == "text":
            raise Invalid(_pointed(error, expression or "")) from error
        print_json(cron.refusal(error, request))
        raise click.exceptions.Exit(Invalid.exit_code) from error
    if fmt == "json":
        print_json(document)
    else:
        click.echo(as_text(document))


def _answer_batch(make: Make, lines: IO[bytes], defaults: dict[str, str | None]) -> None:
    """Answer each line with a line, in order and at once; a wrong one does not stop the rest."""
    given = {name: value for name, value in defaults.items() if value is not None}
    while line := lines.readline(_LINE_BYTES):
        part = line
        while len(part) == _LINE_BYTES and not part.endswith(b"\n"):
            part = lines.readline(_LINE_BYTES)
        print_json(_row(make, line, given))


def _row(make: Make, line: bytes, defaults: dict[str, str]) -> dict[str, Any]:
    request: dict[str, Any] = {}
    try:
        request = defaults | _read(line)
        return make(request)
    except InvalidInput as error:
        return cron.refusal(error, request)


def _read(line: bytes) -> dict[str, Any]:
    if len(line) >= _LINE_BYTES:
        raise InvalidInput(f"A line has fewer than {_LINE_BYTES} bytes.", code="too_long")
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The line is not JSON.", code="invalid_json") from error
    if not isinstance(request, dict):
        raise InvalidInput("The line is not a JSON object.", code="invalid_json")
    return request


def _pointed(error: InvalidInput, expression: str) -> str:
    """Show where in the expression the fault is, if the terminal can."""
    if error.position is None or not expression.isprintable():
        return error.message
    begin = max(0, error.position - 40)
    return f"{error.message}\n  {expression[begin : begin + 80]}\n  {' ' * (error.position - begin)}^"


def _runs_text(document: dict[str, Any]) -> str:
    lines = list(document["runs"])
    if document["truncated"] == "horizon":
        lines.append("No more within 365 days." if lines else "None within 365 days.")
    elif document["truncated"]:
        lines.append("Stopped: one calculation gives no more.")
    return "\n".join(lines)


def _validity_text(document: dict[str, Any]) -> str:
    return "\n".join([f"Valid: {document['normalised']}", *document["remarks"]])


def _description_text(document: dict[str, Any]) -> str:
    return "\n".join([document["description"], *document["remarks"]])


def _frequency_text(document: dict[str, Any]) -> str:
    hours, days = document["busiest_hours"], document["days_per_year"]
    busiest = ", ".join(f"{hour:02}:00" for hour in hours) if len(hours) < 24 else "all alike"
    return "\n".join(
        [
            f"Per hour:     {document['per_hour']} (in hours in which it runs)",
            f"Per day:      {document['per_day']} (on days on which it runs)",
            f"Per year:     {document['per_year']} on {days} days from {document['since']}",
            f"Shortest gap: {_span(document['shortest_gap_s'])}",
            f"Longest gap:  {_span(document['longest_gap_s'])}",
            f"Usual gap:    {_span(document['usual_gap_s'])}",
            f"Busiest hour: {busiest or 'none'}",
        ]
    )


def _span(seconds: int | None) -> str:
    """Write a gap as days, hours and minutes."""
    if seconds is None:
        return "none"
    days, rest = divmod(seconds, _DAY_S)
    parts = ((days, "d"), (rest // 3600, "h"), (rest % 3600 // 60, "min"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
