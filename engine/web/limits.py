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
    """ASGI middleware: 413 for a body that says it is too large, or turns out to be."""

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
            await errors.answer(error, scope, headers={"Connection": "close"})(scope, receive, send)
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
            raise HTTPException(413, f"The body may have at most {limit} bytes.", {"Connection": "close"})
        return message

    return receive_counted


class TrailingSlash:
    """ASGI middleware: paths below `/async-monitoring` end with a slash, even if the caller wrote none."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_SLASHED) and scope["path"][-1] != "/":
            scope = {**scope, "path": scope["path"] + "/"}
        await self.app(scope, receive, send)


_SLASHED = "/async-monitoring/"
