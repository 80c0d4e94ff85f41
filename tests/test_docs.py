"""Whatever people can set, call or submit is named in docs/; the generated pages are up to date."""

import importlib.util
import re
from pathlib import Path

import click
import pytest

from engine import cli, registry, tasks
from engine.cli import docs
from engine.settings import PREFIX, Settings

FOLDER = Path(__file__).parents[1] / "docs"
WEB = importlib.util.find_spec("engine.web.app")


@pytest.fixture(scope="module")
def text() -> str:
    return "\n".join(path.read_text() for path in sorted(FOLDER.glob("*.md")))


@pytest.mark.parametrize("name", docs.pages())
def test_generated_page_is_up_to_date(name):
    assert (FOLDER / name).read_text() == docs.pages()[name], "run ./offload docs"


def test_every_setting_is_named(text):
    assert [n for n in Settings.model_fields if f"`{PREFIX}{n.upper()}`" not in text] == []


def commands():
    """Yield `tasks submit` and the like, for every module of the command line that exists."""
    for name in cli.COMMANDS:
        if importlib.util.find_spec(f"engine.cli.{name}") is None:
            continue
        command = cli.cli.get_command(click.Context(cli.cli), name)
        yield from (
            (f"{name} {sub}" for sub in command.commands) if isinstance(command, click.Group) else [name]
        )


def test_every_command_is_named(text):
    assert [command for command in commands() if f"./offload {command}" not in text] == []


def test_every_command_module_is_listed():
    package = Path(cli.__file__).parent
    sources = {path.stem: path.read_text() for path in package.glob("*.py")}
    assert {name for name, source in sources.items() if "def command(" in source} <= set(cli.COMMANDS)


@pytest.mark.skipif(WEB is None, reason="the HTTP interface is not there yet")
def test_every_route_is_named(text):
    from engine.web.app import api

    paths = {getattr(route, "path", "") for route in api.routes} - {""} | set(api.openapi()["paths"])
    assert [path for path in sorted(paths) if not _named(path, text)] == []


def _named(path: str, text: str) -> bool:
    """The docs may call a path parameter otherwise, and a converter is not shown."""
    pattern = re.sub(r"\\\{[^}]*\\\}", r"\\{\\w+\\}", re.escape(path))
    return re.search(pattern + r"(?![\w/{])", text) is not None


def test_every_task_type_is_named(text):
    tasks.load()
    assert [t.name for t in registry.all_types() if f"`{t.name}`" not in text] == []


def test_every_report_is_named(text):
    folder = Path(cli.__file__).parents[1] / "services" / "reports"
    names = [path.parent.name for path in folder.glob("*/__init__.py")]
    assert [name for name in names if f"`{name}`" not in text] == []
