import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lib.retry_after import retry_after_s

NOW_S = 1_764_590_400  # Mon, 01 Dec 2025 12:00:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("Mon, 01 Dec 2025 12:02:00 GMT", 120),
        ("Monday, 01-Dec-25 12:02:00 GMT", 120),
        ("Mon, 01 Dec 2025 11:00:00 GMT", 0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("٣", None),
        ("9" * 400, 999_999_999),
    ],
)
def test_reads_seconds_and_dates(value, seconds):
    assert retry_after_s(value, NOW_S) == seconds


@given(st.text(max_size=40))
def test_nothing_a_server_says_is_an_error(value):
    found = retry_after_s(value, NOW_S)
    assert found is None or found >= 0
