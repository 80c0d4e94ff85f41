"""What goes round every request: a correlation id, security headers, and an answer when all else fails."""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine import log, settings
from engine.errors import OffloadError, Unavailable
from engine.records import db
from engine.web import errors

CORRELATION_HEADER = "X-Correlation-ID"

PAGE_POLICY = "; ".join(
    (
        "default-src 'self'",
        # Streamlit's charts compile expressions, and its bundle writes inline styles.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)

_FIXED = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Content-Security-Policy", PAGE_POLICY),
)
_PRIVATE = ("/api/", "/async-monitoring/", "/auth/", "/metrics")
"""Answers that differ from person to person; no cache on the way may keep them."""
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class Envelope:
    """The outermost ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        correlation_id = state.get(log.CORRELATION) or _correlation_id(scope)
        state[log.CORRELATION] = correlation_id
        log.correlate(correlation_id)
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        await _answer(self.app, scope, receive, send, correlation_id)


def secure(scope: Scope) -> bool:
    """Whether people reach this request over https, perhaps through a proxy that ends it."""
    return scope.get("scheme") == "https" or settings.get().public_url.startswith("https://")


async def _answer(app: ASGIApp, scope: Scope, receive: Receive, send: Send, correlation_id: str) -> None:
    started = False

    async def send_with_headers(message: Message) -> None:
        nonlocal started
        if message["type"] == "http.response.start":
            started = True
            _add_headers(MutableHeaders(raw=message.setdefault("headers", [])), scope, correlation_id)
        await send(message)

    try:
        await app(scope, receive, send_with_headers)
    except ClientDisconnect:  # an upload broken off, say: nobody is left to be answered
        log.get(__name__).info("client left", path=scope["path"], method=scope["method"])
    except Exception as error:
        scope["state"]["error"] = type(error).__name__
        log.get(__name__).exception("request failed", path=scope["path"], method=scope["method"])
        if started:
            raise
        if isinstance(error, db.LockedOrFull):  # the guard could not look up who asks
            known = error if isinstance(error, Unavailable) else Unavailable()
            await errors.answer(known, scope)(scope, receive, send_with_headers)
            return
        answer = OffloadError("Something went wrong on our side; the log knows more.", code="internal_error")
        await errors.answer(answer, scope)(scope, receive, send_with_headers)


def _add_headers(headers: MutableHeaders, scope: Scope, correlation_id: str) -> None:
    headers[CORRELATION_HEADER] = correlation_id
    for name, value in _FIXED:
        headers.setdefault(name, value)
    if scope["path"].startswith(_PRIVATE):
        headers.setdefault("Cache-Control", "no-store")
    if secure(scope):
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")


def _correlation_id(scope: Scope) -> str:
    """Take over the caller's id if it is harmless, or make one."""
    given = Headers(scope=scope).get(CORRELATION_HEADER, "")
    return given if _CORRELATION_ID.fullmatch(given) else log.new_correlation_id()
