"""From an answer on the wire to the result people read."""

import base64
import json
import re
from typing import Any

from engine.lib import http
from engine.lib.http import Answer

_TEXT_TYPES = re.compile(
    r"text/|application/(?:[\w.+-]*\+)?(?:json|xml|javascript|x-www-form-urlencoded|yaml)"
)
_DROPPED = frozenset({"set-cookie", "set-cookie2"})
_CHARSET = re.compile(r"charset=\"?([\w.:-]{1,40})", re.IGNORECASE)


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
    charset = _CHARSET.search(content_type)
    try:
        text = body.decode(charset[1] if charset else "utf-8", "strict")
    except (LookupError, UnicodeDecodeError):
        if not _TEXT_TYPES.match(content_type):
            return {"json": None, "text": None, "base64": base64.b64encode(body).decode()}
        text = body.decode("utf-8", "replace")
    if "json" in content_type.lower():
        try:
            return {"json": json.loads(text, parse_constant=_no_constant), "text": None}
        except (ValueError, RecursionError):
            pass
    return {"json": None, "text": text}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
