"""The command line. Each subcommand is a module here, imported only when it is used."""

import importlib
import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import click

from engine import log
from engine.cli.output import print_json
from engine.errors import InvalidInput, NotFound, OffloadError, TooLarge

COMMANDS: Mapping[str, str] = {
    "up": "Start pages, api and worker, and keep them running.",
    "test": "Run the whole test suite.",
    "doctor": "Check settings, libraries, database, disk, clock and worker.",
    "docs": "Write the reference tables of the documentation.",
    "tasks": "Submit, list, show, cancel, retry and purge tasks.",
    "workers": "List the workers.",
    "queue": "Pause and resume the queue or one task type.",
    "cleanup": "Remove what is past its keep, now.",
    "users": "Add people, give roles, make sign-in links and tokens.",
    "cron": "Next runs, validation, description and frequency of cron expressions.",
    "schedules": "List, add, pause, resume and run schedules.",
    "webhooks": "Sign, verify and replay webhooks.",
    "alerts": "List alerts and the rules that raise them.",
    "url": "Check whether an address may be called.",
    "demo": "Fill the pages with real measurements of a small example shop.",
}
"""Name and one line of help; the module is `engine.cli.<name>`, its click command `command`."""

EXIT_ERROR = 1
EXIT_INVALID = 2


class LazyGroup(click.Group):
    """A group that lists its commands from a table and imports a module only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"engine.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Take slow work off the web request, and prove the gain."""


def main() -> None:
    """Run the command line; errors become one line, or one JSON document, and the exit status."""
    log.configure("cli")
    try:
        status = cli.main(prog_name="offload", standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message(), {"code": "usage", "message": error.format_message()}, EXIT_INVALID)
    except click.Abort:
        sys.exit(130)
    except UnicodeEncodeError:
        message = "An argument is not UTF-8 text."
        _fail(message, {"code": "usage", "message": message}, EXIT_INVALID)
    except OffloadError as error:
        invalid = isinstance(error, InvalidInput | NotFound | TooLarge)
        _fail(error.message, error_document(error), EXIT_INVALID if invalid else EXIT_ERROR)
    except OSError as error:
        click.echo(f"Error: {error}", err=True)  # never as JSON: standard output may be what failed
        sys.exit(EXIT_ERROR)
    except Exception as error:
        if not _is_of_the_database(error):
            raise
        message = f"The database cannot be used: {error}. Try again; if it stays so, run ./offload doctor."
        _fail(message, {"code": "database", "message": message}, EXIT_ERROR)
    sys.exit(status if isinstance(status, int) else 0)  # click returns the status of `ctx.exit` here


def error_document(error: OffloadError) -> dict[str, Any]:
    """Return what `--format json` prints about an error, under the key `error`."""
    document: dict[str, Any] = {"code": error.code, "message": error.message}
    if isinstance(error, InvalidInput):
        if error.fields:
            document["fields"] = error.fields
        if error.position is not None:
            document["position"] = error.position
    return document


def _is_of_the_database(error: Exception) -> bool:
    """Tell whether the database failed; asks the loaded modules, as loading it takes a tenth of a second."""
    door = sys.modules.get("engine.records.db")
    return door is not None and isinstance(error, door.Damaged)


def _fail(message: str, document: Mapping[str, Any], status: int) -> None:
    if _wants_json():
        print_json({"error": document})
    else:
        click.echo(f"Error: {message}", err=True)
        for path, text in document.get("fields", {}).items():
            click.echo(f"  {path}: {text}", err=True)
    sys.exit(status)


def _wants_json() -> bool:
    words = sys.argv[1:]
    return "--format=json" in words or ("--format", "json") in pairwise(words)
