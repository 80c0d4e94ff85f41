import pytest

from engine import clock
from engine.services import monitor
from engine.services.monitor import Unit

NOW = 1_790_000_000_000 - 1_790_000_000_000 % 86_400_000 + 15 * 3_600_000
"""15:00 UTC of some day."""


@pytest.fixture
def now(data_dir, monkeypatch):
    monkeypatch.setattr(clock, "_wall", lambda: NOW / 1000)
    return NOW


@pytest.fixture
def record(now):
    def store(*durations_ms, ago_ms=60_000, name="/orders", kind="http", status=200, **values):
        for duration in durations_ms:
            unit = Unit(values.pop("service", "shop"), kind, name)
            unit.at_ms = now - ago_ms
            unit.duration_us = round(duration * 1000)
            unit.status = status
            unit.failed = status >= 500
            unit.method = values.get("method", "GET")
            for key, value in values.items():
                setattr(unit, key, value)
            monitor.record(unit)
        monitor.flush()

    return store
