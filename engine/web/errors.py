"""Every failure in one shape: `{"error": {"code", "message", "fields"?}, "correlation_id"}`."""

import errno
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import Scope

from engine import clock, errors, log
from engine.records import db

STATUS: tuple[tuple[type[errors.OffloadError], int], ...] = (
    (errors.InvalidInput, 422),
    (errors.TooLarge, 413),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.Gone, 410),
    (errors.RateLimited, 429),
    (errors.Unavailable, 503),
    (errors.OffloadError, 500),
)
BUSY_RETRY_S = 5
MALFORMED = "malformed_json"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

_PLACES = ("body", "query", "path", "header", "form")
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_MESSAGES = {404: "There is no such thing.", 405: "This address does not take that method."}


def install(app: FastAPI) -> None:
    """Answer every failure of an application in the one shape."""
    app.add_exception_handler(errors.OffloadError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(db.LockedOrFull, _busy)
    app.add_exception_handler(OSError, _full)
    app.add_exception_handler(UnicodeEncodeError, _not_text)


def answer(
    error: errors.OffloadError,
    scope: Scope,
    *,
    status: int | None = None,
    headers: Mapping[str, str] = {},
    beside: Mapping[str, Any] = {},
) -> JSONResponse:
    """Return the response for an error of ours; `beside` stands in the document next to the error."""
    inner: dict[str, Any] = {"code": error.code, "message": error.message}
    extra = dict(headers)
    if isinstance(error, errors.InvalidInput | errors.TooLarge) and error.fields:
        inner["fields"] = error.fields
    if isinstance(error, errors.InvalidInput) and error.position is not None:
        inner["position"] = error.position
    if isinstance(error, errors.RateLimited) and error.retry_at_ms is not None:
        inner["retry_at"] = clock.iso(error.retry_at_ms)
        extra["Retry-After"] = str(max(1, math.ceil((error.retry_at_ms - clock.now_ms()) / 1000)))
    body = {"error": inner, "correlation_id": correlation_id(scope), **beside}
    return JSONResponse(body, status or status_of(error), extra)


def status_of(error: errors.OffloadError) -> int:
    """Return the HTTP status an error of ours is answered with."""
    if error.code == MALFORMED:
        return 400
    return next(status for kind, status in STATUS if isinstance(error, kind))


def correlation_id(scope: Scope) -> str | None:
    """Return the correlation id of a request."""
    state: Mapping[str, Any] = scope.get("state") or {}
    return state.get(log.CORRELATION) or log.correlation_id()


def field_path(location: Sequence[object]) -> str:
    """Turn pydantic's location into a dotted path, without a first word that says only `body` or `query`."""
    inner = location[1:] if location and location[0] in _PLACES else location
    return ".".join(str(part) for part in inner) or "body"


async def _known(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.OffloadError)
    if status_of(error) == 500:
        log.get(__name__).error("request failed", code=error.code, message=error.message)
    return answer(error, request.scope)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        message = (
            f"The body is not valid JSON: {found[0]['ctx']['error']} at character {found[0]['loc'][-1]}."
        )
        return answer(errors.InvalidInput(message, code=MALFORMED), request.scope)
    if isinstance(found[0].get("input"), bytes):  # FastAPI reads JSON only from what is called JSON
        ours = errors.InvalidInput("Send the body as Content-Type: application/json.", code=_CODES[415])
        return answer(ours, request.scope, status=415)
    fields: dict[str, str] = {}
    for item in found:
        fields.setdefault(field_path(item["loc"]), str(item["msg"]).removeprefix("Value error, "))
    return answer(errors.InvalidInput(fields=fields), request.scope)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 400 and isinstance(error.__cause__, ValueError | RecursionError):
        # FastAPI: what its JSON parser trips over otherwise (bytes, depth, digits of a number)
        message = f"The body is not valid JSON: {error.__cause__}."
        return answer(errors.InvalidInput(message, code=MALFORMED), request.scope)
    code = _CODES.get(error.status_code, HTTPStatus(error.status_code).name.lower())
    message = _MESSAGES.get(error.status_code, str(error.detail))
    ours = errors.OffloadError(message, code=code)
    headers = {"Allow": ", ".join(_methods(request))} if error.status_code == 405 else error.headers or {}
    return answer(ours, request.scope, status=error.status_code, headers=headers)


def _methods(request: Request) -> list[str]:
    """Return what an address takes; Starlette itself names the methods of the first route alone."""
    matching = (r for r in request.app.routes if r.matches(request.scope)[0] is not Match.NONE)
    found = {method for route in matching for method in getattr(route, "methods", None) or ()}
    return sorted(found | {"HEAD"} if "GET" in found else found)


async def _busy(request: Request, error: Exception) -> JSONResponse:
    log.get(__name__).error("database not available", error=str(error))
    ours = errors.Unavailable("The database is busy or the disk is full; nothing was stored. Try again.")
    return answer(ours, request.scope, headers={"Retry-After": str(BUSY_RETRY_S)})


async def _full(request: Request, error: Exception) -> JSONResponse:
    """Answer for a disk with no room for a file as for one with no room for a row."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return await _busy(request, error)
    raise error


async def _not_text(request: Request, error: Exception) -> JSONResponse:
    """Answer for text with half a surrogate pair, which JSON can spell and UTF-8 cannot."""
    return answer(errors.InvalidInput("A text is not valid Unicode."), request.scope)
