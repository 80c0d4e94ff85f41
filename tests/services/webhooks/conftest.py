import pytest

from engine import clock, registry, tasks
from tests.engine_kit import FakeClock
from tests.lib.http.hostile import serving


@pytest.fixture
def server(data_dir, monkeypatch):
    tasks.load()
    monkeypatch.setattr(registry, "_types", dict(registry._types))  # what tests add ends with them
    with serving(monkeypatch) as found:
        yield found


@pytest.fixture
def wall(monkeypatch):
    found = FakeClock()
    monkeypatch.setattr(clock, "_wall", found)
    return found


@pytest.fixture
def ann_made(server):
    """An endpoint of Ann's that hears everything, and its secret."""
    from engine.services import webhooks
    from tests.engine_kit import ANN

    return webhooks.create(ANN, {"url": f"{server.url}/hook", "events": ["*"]})
