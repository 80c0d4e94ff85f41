"""Bounds on what a request may send, applied while it is being read."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine import settings
from engine.errors import TooLarge
from engine.web import errors

UPLOADS = "/api/uploads"
FORM_OVERHEAD_BYTES = 16 * 1024
"""What a multipart body may hold beside its file: boundaries and part headers."""


class BodyLimit:
    """ASGI middleware: 413 for a body that says it is too large, or turns out to be.

    The connection stays open: the server reads and drops what is still on its way. A client that meets a
    closed connection while it sends never sees the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = limit_of(scope["path"])
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal() or int(declared) > limit:
            error = TooLarge(f"The body may have at most {limit} bytes.")
            await errors.answer(error, scope)(scope, receive, send)
            return
        await self.app(scope, _counted(receive, limit), send)


def limit_of(path: str) -> int:
    """Return how many bytes the body of a request to this path may have."""
    if path.rstrip("/") == UPLOADS:
        return settings.get().upload_bytes + FORM_OVERHEAD_BYTES
    return settings.get().body_bytes


def _counted(receive: Receive, limit: int) -> Receive:
    n = 0

    async def receive_counted() -> Message:
        nonlocal n
        message = await receive()
        n += len(message.get("body", b""))
        if n > limit:
            # An HTTPException passes through FastAPI's body parser, which turns others into 400.
            raise HTTPException(413, f"The body may have at most {limit} bytes.")
        return message

    return receive_counted


class Spelling:
    """ASGI middleware: one spelling of a path and one way to read.

    Paths below `/async-monitoring` end with a slash and all others with none, whatever the caller wrote. HEAD
    is answered as GET is; the server leaves the body out. Not so for streams, which end only with their task,
    and for signing in, where looking ahead must not use a one-time link up.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["path"] = spelled(scope["path"])
        path = scope["path"]
        if scope["method"] != "HEAD" or path.endswith("/stream/") or path.startswith("/auth/"):
            await self.app(scope, receive, send)
            return
        inner = {**scope, "method": "GET"}  # the server looks at its own scope to leave the body out
        try:
            await self.app(inner, receive, send)
        finally:
            scope["route"] = inner.get("route")  # for the monitor, outside


def spelled(path: str) -> str:
    """Return a path with the slash at its end that our routes have."""
    if path.startswith(_SLASHED):
        return path if path.endswith("/") else f"{path}/"
    return path[:-1] if path.endswith("/") and len(path) > 1 else path


_SLASHED = "/async-monitoring/"
