import pytest

from engine.services.calls import making


@pytest.fixture
def no_wait(monkeypatch):
    """Make the short waits between tries end at once; return what was waited."""
    waited = []
    monkeypatch.setattr(making, "_wait", lambda seconds, cancelled: waited.append(seconds))
    return waited
