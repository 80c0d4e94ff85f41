import pytest
from hypothesis import HealthCheck
from hypothesis import settings as properties
from structlog.contextvars import clear_contextvars

from engine import clock, log, registry, tasks
from engine.records import db
from engine.services import monitor
from tests.engine_kit import FakeClock
from tests.lib.http.hostile import serving

# A machine that stalls says nothing about the code, and a build must not fail by chance: the same
# examples each time. `pytest --hypothesis-profile=explore` looks for new ones.
properties.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
properties.register_profile("build", properties.get_profile("explore"), derandomize=True, database=None)
properties.load_profile("build")


@pytest.fixture(autouse=True)
def no_context():
    """What one test bound to its log lines (a correlation id) is not seen by the next."""
    clear_contextvars()
    log.correlate("")


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """A fresh data folder for this process; settings are read anew."""
    monkeypatch.setenv("OFFLOAD_DATA_DIR", str(tmp_path / "data"))
    monitor.reset()
    db.reset()
    yield tmp_path / "data"
    monitor.reset()
    db.reset()


@pytest.fixture
def no_types(monkeypatch):
    """An empty registry of task types; those of the house come back after the test."""
    tasks.load()  # now, or what a test imports first would be registered in its own registry
    monkeypatch.setattr(registry, "_types", {})


@pytest.fixture
def wall(monkeypatch):
    """A wall clock that stands still until the test moves it."""
    fake = FakeClock()
    monkeypatch.setattr(clock, "_wall", fake)
    return fake


@pytest.fixture
def server(data_dir, monkeypatch):
    """A server on loopback that outbound calls may reach, and that misbehaves as the test tells it."""
    tasks.load()
    monkeypatch.setattr(registry, "_types", dict(registry._types))  # what tests add ends with them
    with serving(monkeypatch) as found:
        yield found
