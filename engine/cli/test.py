"""`python -m engine test`: hand over to the launcher, which installs what the tests need."""

import os
import sys
from pathlib import Path

import click

LAUNCHER = Path(__file__).parents[2] / "offload"


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Run the whole test suite; ARGUMENTS go to pytest."""
    os.execv(sys.executable, [sys.executable, str(LAUNCHER), "test", *arguments])  # noqa: S606 - no shell wanted
