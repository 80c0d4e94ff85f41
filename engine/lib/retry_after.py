"""The Retry-After header (RFC 9110, section 10.2.3)."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """Return the seconds to wait, given as such or as a date; None where there is nothing to read."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, at.timestamp() - now_s)
    except (ValueError, OverflowError):
        return None
