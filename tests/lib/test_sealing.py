import pytest

from engine.errors import Unavailable
from engine.lib.sealing import Sealer, sealer

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


def test_the_sealer_of_a_folder_survives_a_restart(tmp_path):
    sealed = sealer(tmp_path, "webhooks").seal("a")
    sealer.cache_clear()
    assert sealer(tmp_path, "webhooks").open(sealed) == "a"
