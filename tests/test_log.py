import re

import pytest

from engine import log


@pytest.mark.parametrize(
    ("bits", "expected"), [(0, "0" * 16), (0x2A, "000000000000002a"), (2**64 - 1, "f" * 16)]
)
def test_an_id_is_sixteen_hexadecimal_digits(monkeypatch, bits, expected):
    monkeypatch.setattr(log._ids, "getrandbits", lambda n: bits)
    assert log.new_correlation_id() == expected


def test_ids_differ():
    made = {log.new_correlation_id() for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in made)
