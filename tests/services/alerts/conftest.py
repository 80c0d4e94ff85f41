import pytest

from engine import clock
from engine.records import db
from engine.services import monitor
from engine.services.monitor import Unit
from tests.services.alerts.kit import NOW


@pytest.fixture
def at(data_dir, monkeypatch):
    """The clock stands at `NOW`, and the rules an installation begins with are not there."""
    monkeypatch.setattr(clock, "_wall", lambda: NOW / 1000)
    with db.metrics().write() as tx:
        tx.run("insert into watermarks (name, at_ms) values ('alerts_seeded', 1)")
    return NOW


@pytest.fixture
def requests():
    """Record requests to the route `/orders` of the service `shop`."""

    def record(n, duration_ms, *, at_ms=NOW - 60_000, failed=0):
        for number in range(n):
            unit = Unit("shop", "http", "/orders")
            unit.at_ms, unit.duration_us, unit.status = at_ms, duration_ms * 1000, 200
            unit.failed = number < failed
            monitor.record(unit)
        monitor.flush()

    return record
