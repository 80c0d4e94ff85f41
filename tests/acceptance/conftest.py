"""Fixtures that run the real processes. `house` is shared by all tests that break nothing; `new_house` makes
one to break. When a test fails, the end of what its processes printed is in its report."""

import os
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from engine import tasks
from engine.lib import ports
from engine.records import db
from tests.acceptance.engine_room import EngineRoom
from tests.acceptance.house import House, running

BROWSER_OPTIONS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # without these it looks for hosts on the Internet, at every start
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
)


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


@pytest.fixture(scope="module")
def chromium():
    """Headless Chromium of the system, for one module: asyncio cannot run in this thread meanwhile."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert path, "Chromium is missing: ./offload test installs it"
    expect.set_options(timeout=15_000)  # two cores, shared with the processes
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def browser_page(chromium, house, tmp_path, request):
    """A page of a browser that nobody has signed in with; if the test fails, a picture of it is kept."""
    context = chromium.new_context(
        base_url=ports.url(ports.LOOPBACK, house.port), viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    yield page
    if getattr(request.node, "failed", False):
        page.screenshot(path=tmp_path / "failed.png", full_page=True)
    context.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.failed = report.failed
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
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
    items.sort(key=lambda item: ("acceptance" in item.keywords, "browser" in item.keywords))
