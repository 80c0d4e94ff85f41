"""`offload docs`: write the parts of the documentation that come from the source."""

from pathlib import Path
from typing import Any

import click

from engine import settings

FOLDER = Path(__file__).parents[2] / "docs"
_MIB = 1024 * 1024
_HEAD = """# Settings

Written by `./offload docs` from `engine/settings.py`; do not edit. Each setting is an environment variable;
the same name with `_FILE` at its end names a file that holds the value (a mounted secret, say). Settings are
read once, when a process starts. The end of a name is its unit: `_S` seconds, `_MS` milliseconds, `_H` hours,
`_D` days. `./offload doctor` says what is wrong with them.

| Variable | Default | Meaning |
| --- | --- | --- |
"""


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if something would change.")
def command(check: bool) -> None:
    """Write the reference tables of the documentation."""
    for name, text in pages().items():
        path = FOLDER / name
        if path.exists() and path.read_text() == text:
            continue
        if check:
            raise click.exceptions.Exit(1)
        path.write_text(text)
        click.echo(f"docs/{name} written")


def pages() -> dict[str, str]:
    """Return the generated pages: file name to text."""
    return {"settings.md": _HEAD + "".join(_row(name, field) for name, field in _fields())}


def _fields() -> list[tuple[str, Any]]:
    return list(settings.Settings.model_fields.items())


def _row(name: str, field: Any) -> str:
    return f"| `{settings.PREFIX}{name.upper()}` | {_default(name, field.default)} | {field.description} |\n"


def _default(name: str, value: object) -> str:
    if value in ("", None):
        return "(empty)"
    if name.endswith("_bytes") and isinstance(value, int) and value % _MIB == 0:
        return f"{value} ({value // _MIB} MiB)"
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)
