"""Files of which a part may be asked for: what `Range` says is judged here, before Starlette reads it.

RFC 9110, 14.2: a `Range` that is not valid is ignored, and the whole file is the answer. One of which no part
lies in the file is 416, in the shape of all our errors; of several ranges those in the file count.
"""

import re
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from engine.errors import OffloadError
from engine.web import errors

_CODE = "range_not_satisfiable"
_UNIT = "bytes="
_SPEC = re.compile(r"([0-9]+)-([0-9]*)|-([0-9]+)")
_DIGITS = 19
"""So many digits without leading zeros count more bytes than any file has."""


class RangedFile(FileResponse):
    """A file, or the parts of it that the request asks for."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(path, stat_result=path.stat(), **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, size = Headers(scope=scope), int(self.headers["content-length"])
        asked = ranges(headers.get("range", ""), size)
        if asked == [] and "if-range" not in headers:  # with it, the whole file is a right answer as well
            told = OffloadError(f"The file has {size} bytes; none of them was asked for.", code=_CODE)
            extra = {"Content-Range": f"bytes */{size}"}
            await errors.answer(told, scope, status=416, headers=extra)(scope, receive, send)
            return
        changed = MutableHeaders(raw=[pair for pair in scope["headers"] if pair[0] != b"range"])
        if asked:
            changed["range"] = _UNIT + ",".join(f"{first}-{last}" for first, last in asked)
        await super().__call__({**scope, "headers": changed.raw}, receive, send)


def ranges(header: str, size: int) -> list[tuple[int, int]] | None:
    """Return first and last byte of each range within a file of this size; None to ignore the header."""
    if not header.lower().startswith(_UNIT):
        return None
    parts = [part.strip(" \t") for part in header[len(_UNIT) :].split(",")]
    specs = [_SPEC.fullmatch(part) for part in parts if part]  # a list may have empty elements (5.6.1.2)
    found = []
    for spec in specs:
        if spec is None:
            return None
        first, last, suffix = map(_number, spec.groups(default=""))
        if first is not None and last is not None and last < first:
            return None
        found.append(_bounds(first, last, suffix or 0, size))
    return [(first, last) for first, last in found if first <= last] if found else None


def _bounds(first: int | None, last: int | None, suffix: int, size: int) -> tuple[int, int]:
    if first is None:
        return max(0, size - suffix), size - 1
    return first, size - 1 if last is None else min(last, size - 1)


def _number(digits: str) -> int | None:
    return int(digits.lstrip("0")[:_DIGITS] or 0) if digits else None
