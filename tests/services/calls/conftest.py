import pytest

from engine import clock, tasks
from tests.engine_kit import FakeClock
from tests.lib.http.hostile import serving


@pytest.fixture
def server(data_dir, monkeypatch):
    tasks.load()
    with serving(monkeypatch) as found:
        yield found


@pytest.fixture
def wall(monkeypatch):
    found = FakeClock()
    monkeypatch.setattr(clock, "_wall", found)
    return found


@pytest.fixture
def no_wait(monkeypatch):
    """Make the short waits between tries end at once; return what was waited."""
    from engine.services.calls import making

    waited = []
    monkeypatch.setattr(making, "_wait", lambda seconds, cancelled: waited.append(seconds))
    return waited
