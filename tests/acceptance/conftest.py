"""Fixtures that run the real processes. `house` is shared by all tests that break nothing; `new_house` makes
one to break. When a test fails, the end of what its processes printed is in its report."""

import pytest

from engine import tasks
from engine.records import db
from tests.acceptance.engine_room import EngineRoom
from tests.acceptance.house import House, running


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    """Pages, api and worker, running."""
    yield from running(tmp_path_factory.mktemp("house"))


@pytest.fixture
def new_house(tmp_path):
    """Return a function that makes a house with settings of its own; the test starts and breaks it."""
    made = []

    def make(**settings: str) -> House:
        folder = tmp_path / f"house-{len(made)}"
        folder.mkdir()
        made.append(House(folder, **settings))
        return made[-1]

    yield make
    left = [line for one in made for line in one.clear()]
    assert left == [], f"left behind: {left}"


@pytest.fixture
def new_room(new_house, monkeypatch):
    """Return a function that makes a house for workers alone, on data that the test reads and writes too."""
    rooms = []

    def make(**settings: str) -> EngineRoom:
        room = EngineRoom(new_house(**settings))
        rooms.append(room)
        for name, value in room.house.environment.items():
            if name.startswith("OFFLOAD_"):
                monkeypatch.setenv(name, value)
        db.reset()
        tasks.load()
        return room

    yield make
    for room in rooms:
        room.close()
    db.reset()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, House):
                report.sections.append(("processes", value.log_tail()))
    return report


def pytest_collection_modifyitems(items):
    """Run the real processes after everything else: a broken part is found sooner alone."""
    for item in items:
        if "acceptance" in item.path.parts:
            item.add_marker("acceptance")
    items.sort(key=lambda item: "acceptance" in item.keywords or "browser" in item.keywords)
