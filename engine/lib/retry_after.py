"""The Retry-After header (RFC 9110, section 10.2.3)."""

from engine.lib.http_date import http_date_s


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """Return the seconds to wait, given as such or as a date; None where there is nothing to read."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    at_s = http_date_s(text)
    return None if at_s is None else max(0.0, at_s - now_s)
