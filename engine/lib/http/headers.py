"""Headers of calls: what may be sent, and what is shown of them."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

from engine.errors import InvalidInput

MASK = "***"

_MOST = 50
_MOST_BYTES = 8 * 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
"""A header name (RFC 9110, section 5.6.2)."""
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?")
"""Visible ASCII, blanks inside only."""
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade"}
    | {"expect", "accept-encoding", "http2-settings", "via", "forwarded"}
)
_OUR_PREFIXES = ("proxy-", "webhook-", "x-forwarded-", "sec-")
_SECRET = re.compile(r"auth|cookie|key|token|secret|passw|passphrase|session|credential|signature|jwt", re.I)
_SECRET_PARAMETERS = frozenset({"sig", "code", "pwd", "pass"})


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers a user may send; raise InvalidInput with a message per header.

    Some would be refused only after connecting, some never: `Transfer-Encoding` beside a body is request
    smuggling, and a `Host` of one's own choice reaches other sites of a shared server.
    """
    fields: dict[str, str] = {}
    if len(headers) > _MOST:
        fields["headers"] = f"at most {_MOST} headers"
    seen: set[str] = set()
    for name, value in headers.items():
        if reason := _why_not(name, value, seen):
            fields[f"headers.{name[:80]}"] = reason
        seen.add(name.lower())
    if fields:
        raise InvalidInput("The headers are not valid.", fields=fields)
    return dict(headers)


def is_secret(name: str) -> bool:
    """Whether a header or query parameter of this name holds a secret."""
    return bool(_SECRET.search(name)) or name.lower() in _SECRET_PARAMETERS


def mask_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return headers with the values of secrets replaced."""
    return [(name, MASK if is_secret(name) else value) for name, value in headers]


def mask_url(url: str) -> str:
    """Return a URL with secret query parameters and what stands before `@` replaced, without its fragment.

    What cannot be read as a URL is replaced whole.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    query = "&".join(_mask_parameter(part) for part in parts.query.split("&")) if parts.query else ""
    _, at, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, f"{MASK}@{host}" if at else host, parts.path, query, ""))


def _why_not(name: str, value: str, seen: set[str]) -> str | None:
    if not _TOKEN.fullmatch(name):
        return "is not a header name"
    lower = name.lower()
    if lower in _OURS or lower.startswith(_OUR_PREFIXES):
        return "is set by Offload itself"
    if lower in seen:
        return "is given twice"
    if len(value) > _MOST_BYTES:
        return f"is longer than {_MOST_BYTES} bytes"
    if not _VALUE.fullmatch(value):
        return "may hold visible ASCII characters only, blanks inside"
    return None


def _mask_parameter(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{quote(unquote_plus(name), safe='[]')}{equals}{MASK}" if is_secret(unquote_plus(name)) else part
