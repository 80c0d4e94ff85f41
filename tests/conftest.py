import pytest

from engine.records import db


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """A fresh data folder for this process; settings are read anew."""
    monkeypatch.setenv("OFFLOAD_DATA_DIR", str(tmp_path / "data"))
    db.reset()
    yield tmp_path / "data"
    db.reset()
