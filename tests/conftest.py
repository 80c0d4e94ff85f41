import pytest

from engine.records import db
from engine.services import monitor


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """A fresh data folder for this process; settings are read anew."""
    monkeypatch.setenv("OFFLOAD_DATA_DIR", str(tmp_path / "data"))
    monitor.reset()
    db.reset()
    yield tmp_path / "data"
    monitor.reset()
    db.reset()
