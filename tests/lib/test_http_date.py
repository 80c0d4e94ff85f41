import time

import pytest

from engine.lib.http_date import http_date_s


@pytest.fixture
def far_from_utc(monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),  # the example of RFC 9110, section 5.6.7
        ("Sun, 06 Nov 1994 08:49:37 -0000", 784111777),
        ("Sun, 06 Nov 1994 08:49:37", 784111777),
        ("0", None),
        ("", None),
        ("tomorrow", None),
    ],
)
def test_dates_are_read_as_utc_wherever_we_stand(far_from_utc, text, seconds):
    assert http_date_s(text) == seconds
