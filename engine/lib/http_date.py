"""The dates of HTTP headers (RFC 9110, section 5.6.7)."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def http_date_s(text: str) -> float | None:
    """Return a date in seconds since 1970, UTC where it names no zone; None for what is none, such as `0`."""
    try:
        at = parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
