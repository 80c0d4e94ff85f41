import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.errors import Unavailable
from engine.lib.keyfile import load_key


def test_makes_the_key_once_readable_by_nobody_else(tmp_path):
    path = tmp_path / "data" / "secret.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_key(path), range(16)))
    assert len(keys) == 1
    assert len(keys.pop()) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["secret.key"]


def test_a_damaged_key_file_is_reported_not_replaced(tmp_path):
    path = tmp_path / "secret.key"
    path.write_text("half")
    with pytest.raises(Unavailable, match="backup"):
        load_key(path)
    assert path.read_text() == "half"
