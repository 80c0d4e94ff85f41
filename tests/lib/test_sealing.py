import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.errors import Unavailable
from engine.lib.sealing import Sealer, load_key, sealer

KEY = bytes(32)


def test_opens_what_it_sealed_and_hides_it():
    sealed = Sealer(KEY, "webhooks").seal("whsec_äbc", "row 1")
    assert "whsec" not in sealed
    assert Sealer(KEY, "webhooks").open(sealed, "row 1") == "whsec_äbc"


def test_the_same_text_is_sealed_differently_each_time():
    assert Sealer(KEY, "webhooks").seal("a") != Sealer(KEY, "webhooks").seal("a")


@pytest.mark.parametrize(
    ("key", "purpose", "context"),
    [(bytes(31) + b"x", "webhooks", "1"), (KEY, "calls", "1"), (KEY, "webhooks", "2")],
)
def test_another_key_purpose_or_row_does_not_open_it(key, purpose, context):
    sealed = Sealer(KEY, "webhooks").seal("a", "1")
    with pytest.raises(Unavailable):
        Sealer(key, purpose).open(sealed, context)


@pytest.mark.parametrize("sealed", ["", "s1.", "s1.AAAA", "s1.%%%", "plain"])
def test_damaged_text_is_reported(sealed):
    with pytest.raises(Unavailable):
        Sealer(KEY, "webhooks").open(sealed)


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


def test_the_sealer_of_a_folder_survives_a_restart(tmp_path):
    sealed = sealer(tmp_path, "webhooks").seal("a")
    sealer.cache_clear()
    assert sealer(tmp_path, "webhooks").open(sealed) == "a"
