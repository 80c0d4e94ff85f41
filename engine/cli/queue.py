"""`offload queue`: pause and resume."""

import click

from engine import lifecycle, tasks
from engine.cli.output import COMMAND_LINE, format_option, print_json
from engine.queries import workers


@click.group()
def command() -> None:
    """Pause and resume the queue or one task type."""
    tasks.load()


@command.command("pause")
@click.option("--type", "scope", default="*", help="Only this task type.")
@click.option("--note", default="", help="Why; shown to everybody who waits.")
@format_option
def pause(scope: str, note: str, fmt: str) -> None:
    """Start no more tasks; running work goes on."""
    changed = lifecycle.pause(COMMAND_LINE, scope, note)
    _report("Paused." if changed else "It was paused already.", fmt)


@command.command("resume")
@click.option("--type", "scope", default="*", help="Only this task type.")
@format_option
def resume(scope: str, fmt: str) -> None:
    """Start tasks again."""
    changed = lifecycle.resume(COMMAND_LINE, scope)
    _report("Resumed." if changed else "It was not paused.", fmt)


def _report(sentence: str, fmt: str) -> None:
    if fmt == "json":
        print_json({"paused": [pause["scope"] for pause in workers.pauses()]})
    else:
        click.echo(sentence)
