"""From an answer on the wire to the result people read."""

import base64
import json
import re
from typing import Any

from engine.lib import http
from engine.lib.http import Answer
from engine.lib.storable import storable

_TEXT_TYPES = re.compile(
    r"text/|application/(?:[\w.+-]*\+)?(?:json|xml|javascript|x-www-form-urlencoded|yaml)"
)
_DROPPED = frozenset({"set-cookie", "set-cookie2"})
_CHARSET = re.compile(r"charset=\"?([\w.:-]{1,40})", re.IGNORECASE)
_CHARSETS = re.compile(
    r"utf-?(?:8|16|32)(?:-?[lb]e)?|(?:us-)?ascii|iso-?8859-\d{1,2}|latin-?1|(?:windows-|cp)\d{3,4}"
    r"|koi8-[rtu]|big5|gb(?:2312|k|18030)|euc-(?:jp|kr)|shift[_-]jis|iso-2022-(?:jp|kr)|mac[_-]?roman",
    re.IGNORECASE,
)
"""What is decoded as said. Python knows more names: some always fail, one takes quadratic time."""
_DEEPEST = 100
"""Lists a result may be wrapped in before it is written: its body must not be near the recursion limit."""


def document(answer: Answer, n_tries: int) -> dict[str, Any]:
    """Return the result document of a call: one of `json`, `text` and `base64` holds the body."""
    content_type = answer.header("content-type") or ""
    return {
        "status": answer.status,
        "ok": answer.status < 400,
        "url": http.mask_url(answer.url),
        "headers": _safe_headers(answer.headers),
        "content_type": content_type,
        **_body(answer.body, content_type),
        "n_bytes": len(answer.body),
        "n_redirects": answer.n_redirects,
        "timing": answer.timing.document(),
        "tries": n_tries,
        "from_cache": False,
    }


def _safe_headers(headers: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in http.mask_headers(headers):
        lower = name.lower()
        if lower not in _DROPPED:
            shown = http.mask_url(value) if lower == "location" else value
            found[lower] = f"{found[lower]}, {shown}" if lower in found else shown
    return found


def _body(body: bytes, content_type: str) -> dict[str, Any]:
    if not body:
        return {"json": None, "text": ""}
    text = _decoded(body, content_type)
    if text is None:
        return {"json": None, "text": None, "base64": base64.b64encode(body).decode()}
    if "json" in content_type.lower():
        try:
            return {"json": _parsed(text), "text": None}
        except (ValueError, RecursionError):
            pass
    return {"json": None, "text": storable(text)}


def _decoded(body: bytes, content_type: str) -> str | None:
    """Return the text of a body; None when it is not a text."""
    found = _CHARSET.search(content_type)
    charset = found[1] if found and _CHARSETS.fullmatch(found[1]) else "utf-8"
    try:
        return body.decode(charset)
    except (LookupError, UnicodeError):
        return body.decode("utf-8", "replace") if _TEXT_TYPES.match(content_type) else None


def _parsed(text: str) -> Any:
    """Return the value of a JSON text; raise for one that could not be written again.

    Python reads more than it writes: 1e999 as infinity, nesting up to its recursion limit, half a surrogate
    pair (which becomes `?`).
    """
    value = json.loads(text, parse_constant=_no_constant)
    wrapped = value
    for _ in range(_DEEPEST):
        wrapped = [wrapped]
    written = json.dumps(wrapped, ensure_ascii=False, allow_nan=False)
    if storable(written) == written:
        return value
    return json.loads(storable(written[_DEEPEST:-_DEEPEST]))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
