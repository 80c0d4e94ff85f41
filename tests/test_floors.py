"""The house stands as DESIGN draws it, and a planted violation of each rule is found."""

from pathlib import Path

import pytest

from tests.floors import read_sources, violations

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return read_sources(ROOT)


@pytest.fixture(scope="module")
def before(sources) -> set[str]:
    return set(violations(sources))


def test_house_rules_hold(before):
    assert sorted(before) == []


SAME = "x = 1\n"
PLANTED = {
    "upward import": (
        "floors",
        {"engine/lib/planted.py": "from engine.records import planted\n", "engine/records/planted.py": SAME},
    ),
    "upward import of a name": (
        "floors",
        {"engine/lib/planted.py": "import engine.queries.planted\n", "engine/queries/planted.py": SAME},
    ),
    "upward import inside a function": (
        "floors",
        {
            "engine/records/planted.py": "def f():\n    from engine.services import planted\n",
            "engine/services/planted.py": SAME,
        },
    ),
    "upward import by name": (
        "floors",
        {
            "engine/services/planted.py": "m = import_module('engine.tasks.planted')\n",
            "engine/tasks/planted.py": SAME,
        },
    ),
    "upward import for types only": (
        "floors",
        {
            "engine/lib/planted.py": "if TYPE_CHECKING:\n    from engine.records.planted import x\n",
            "engine/records/planted.py": SAME,
        },
    ),
    "relative upward import": (
        "floors",
        {"engine/lib/planted.py": "from ..records import planted\n", "engine/records/planted.py": SAME},
    ),
    "engine imports a page": (
        "floors",
        {"engine/ui/planted.py": "import pages.planted\n", "pages/planted.py": SAME},
    ),
    "routes import the assembled application": (
        "floors",
        {
            "engine/web/planted.py": "from engine.web.app.planted import x\n",
            "engine/web/app/planted.py": SAME,
        },
    ),
    "cycle on one floor": (
        "cycle",
        {
            "engine/lib/planted.py": "from engine.lib import planted2\n",
            "engine/lib/planted2.py": "from . import planted\n",
        },
    ),
    "cycle inside a function": (
        "cycle",
        {
            "engine/web/planted.py": "from engine.web import planted2\n",
            "engine/web/planted2.py": "def f():\n    import engine.web.planted\n",
        },
    ),
    "cycle of a package and its part": (
        "cycle",
        {
            "engine/lib/planted/__init__.py": "from engine.lib.planted.part import y\nx = 1\n",
            "engine/lib/planted/part.py": "from engine.lib.planted import x\n",
        },
    ),
    "ground floor imports a package": ("ground floor", {"engine/words/planted.py": "import click\n"}),
    "task imports a task": (
        "neighbours",
        {"engine/tasks/planted.py": "from engine.tasks import planted2\n", "engine/tasks/planted2.py": SAME},
    ),
    "service imports a service": (
        "neighbours",
        {
            "engine/services/planted.py": "from .planted2.part import x\n",
            "engine/services/planted2/part.py": SAME,
        },
    ),
    "query imports a query": (
        "neighbours",
        {"engine/queries/planted.py": "import engine.queries.planted2\n", "engine/queries/planted2.py": SAME},
    ),
    "report imports a report": (
        "neighbours",
        {
            "engine/services/reports/planted/form.py": "from engine.services.reports.planted2 import form\n",
            "engine/services/reports/planted2/form.py": SAME,
        },
    ),
    "lifecycle reads a screen": (
        "bookkeeping",
        {
            "engine/lifecycle/planted.py": "from engine.queries import planted\n",
            "engine/queries/planted.py": SAME,
        },
    ),
    "task reads a screen": (
        "bookkeeping",
        {"engine/tasks/planted.py": "from engine.queries.planted import x\n"},
    ),
    "middleware reads a screen": (
        "bookkeeping",
        {"engine/web/middleware/planted.py": "import engine.queries\n"},
    ),
    "record reads a screen": ("bookkeeping", {"engine/records/planted.py": "import engine.queries\n"}),
    "second network door": ("door httpx", {"engine/services/planted.py": "import httpx\n"}),
    "network by the standard library": (
        "door urllib.request",
        {"engine/services/planted.py": "from urllib import request\n"},
    ),
    "Streamlit outside the pages": (
        "door streamlit",
        {"engine/web/planted.py": "def f():\n    import streamlit as st\n"},
    ),
    "second database door": ("door sqlite3", {"engine/records/planted.py": "import sqlite3\n"}),
    "second database door by the tool": (
        "door sqlite_utils",
        {"engine/services/planted.py": "from sqlite_utils import Database\n"},
    ),
    "Huey in a task": ("door huey", {"engine/tasks/planted.py": "from huey import crontab\n"}),
    "environment read": ("door environment", {"engine/lib/planted.py": "import os\nx = os.environ['X']\n"}),
    "environment read by function": (
        "door environment",
        {"engine/lib/planted.py": "import os\nx = os.getenv('X')\n"},
    ),
    "environment imported": ("door environment", {"engine/lib/planted.py": "from os import environ\n"}),
    "second clock": ("door clock", {"engine/lib/planted.py": "import time\nx = time.time()\n"}),
    "second clock, other name": ("door clock", {"engine/lib/planted.py": "from time import time_ns\n"}),
    "second clock, dates": (
        "door clock",
        {"engine/lib/planted.py": "import datetime\nx = datetime.datetime.now(datetime.UTC)\n"},
    ),
    "clock in a page": ("door clock", {"pages/planted.py": "from datetime import date\nx = date.today()\n"}),
    "long page": ("page length", {"pages/planted.py": "x = 1\n" * 121}),
    "SQL in a page": ("sql", {"pages/planted.py": "x = 'SELECT id FROM tasks WHERE id = :id'\n"}),
    "SQL in a service": ("sql", {"engine/services/planted.py": "x = f'update tasks set state = {1}'\n"}),
    "HTTP in a page": ("door httpx", {"pages/planted.py": "import httpx\n"}),
    "database in a page": (
        "pages",
        {"pages/planted.py": "from engine.records.db import main\n", "engine/records/db.py": SAME},
    ),
    "utils": ("utils", {"engine/lib/utils.py": SAME}),
    "utils folder": ("utils", {"engine/services/utils/planted.py": SAME}),
    "module without a floor": ("no floor", {"engine/planted.py": SAME}),
}


@pytest.mark.parametrize(("rule", "planted"), PLANTED.values(), ids=PLANTED)
def test_planted_violation_is_found(sources, before, rule, planted):
    new = set(violations({**sources, **planted})) - before
    assert any(line.startswith(rule + ":") for line in new), new


ALLOWED = {
    "downward": {
        "engine/services/planted.py": "from engine.records import planted\n",
        "engine/records/planted.py": SAME,
    },
    "same floor": {
        "engine/lib/planted.py": "from engine.lib import planted2\n",
        "engine/lib/planted2.py": SAME,
    },
    "parts of one service": {
        "engine/services/planted/__init__.py": "from engine.services.planted.part import x\n",
        "engine/services/planted/part.py": SAME,
    },
    "parts of one report": {
        "engine/services/reports/planted/__init__.py": "from engine.services.reports.planted.form import x\n",
        "engine/services/reports/planted/form.py": SAME,
    },
    "what reports share": {
        "engine/services/reports/planted/form.py": "from engine.services.reports.planted2 import x\n",
        "engine/services/reports/planted2.py": SAME,
    },
    "the door itself": {"engine/records/db/planted.py": "import sqlite3\n"},
    "migrations": {"engine/records/schema/planted.py": "from sqlite_utils.migrations import Migrations\n"},
    "statement counter": {
        "engine/lib/sqltrace.py": "import sqlite3\nclass Counting(sqlite3.Connection): ...\n"
    },
    "prose that begins like SQL": {"engine/ui/planted.py": "x = 'Select a report from the list'\n"},
    "SQL in a docstring": {"engine/lib/planted.py": '"""select a from b where c"""\n'},
    "our clock": {
        "engine/lib/planted.py": "from engine import clock\nx = clock.now()\ny = clock.elapsed()\n"
    },
    "page reads": {
        "pages/planted.py": "from engine.queries import planted\n",
        "engine/queries/planted.py": SAME,
    },
    "assembly": {
        "engine/cli/planted.py": "from engine.web.app import planted\nfrom engine.worker import huey\n"
    },
}


@pytest.mark.parametrize("planted", ALLOWED.values(), ids=ALLOWED)
def test_allowed_pattern_passes(sources, before, planted):
    assert set(violations({**sources, **planted})) - before == set()
