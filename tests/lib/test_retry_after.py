import pytest

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
