"""The gate: who sends this request, and may it pass?

Pure ASGI, so that it also stands before what Streamlit serves: its WebSocket, its uploads, its media.
Everything needs a session or a token except the sign-in pages, static files and the bare health answer.

The check is one indexed read (about 30 us) made on the event loop: a hop to a thread and back costs more, and
a reader never waits for a writer (WAL). Nothing is cached, so that a revoked session or token ends at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine import settings
from engine.errors import Forbidden, OffloadError, Unauthorized
from engine.services import signin
from engine.web import errors
from engine.words import Actor

COOKIE = "offload_session"
LOGIN = "/auth/login"
HEALTH = "/async-monitoring/health"
WS_UNAUTHORIZED = 4401
WS_FORBIDDEN = 4403

_PUBLIC = frozenset(
    {"/favicon.ico", "/favicon.png", "/manifest.json", "/_stcore/health", HEALTH, f"{HEALTH}/", "/auth"}
)
_PUBLIC_FOLDERS = ("/auth/", "/static/")
_MACHINE_FOLDERS = ("/api/", "/async-monitoring/", "/metrics/", "/_stcore/", "/media/", "/component/")
_STREAMLIT = "/_stcore/"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Credential:
    """What a request offers to say who sends it: a bearer token, else the session cookie."""

    kind: str
    secret: str = field(repr=False)

    def actor(self) -> Actor | None:
        """Return who it belongs to at this moment."""
        find: Callable[[str], Actor | None] = (
            signin.token_actor if self.kind == "token" else signin.session_actor
        )
        return find(self.secret)


class Guard:
    """ASGI middleware that puts `actor` and `credential` into `scope["state"]`, or refuses."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        credential = offered(headers)
        actor = credential.actor() if credential else None
        state = scope.setdefault("state", {})
        state["actor"], state["credential"] = actor, credential
        refusal = _refusal(scope, headers, actor, credential)
        if refusal is not None:
            await _refuse(refusal, scope, headers, receive, send)
        elif scope["type"] == "websocket" and credential is not None:
            await self.app(scope, _while_signed_in(credential, receive, send), send)
        else:
            await self.app(scope, receive, send)


def offered(headers: Headers) -> Credential | None:
    """Return the credential in the headers; a bearer token goes before a cookie, even if it is wrong."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return Credential("token", token.strip())
    cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE)
    return Credential("session", cookie) if cookie else None


def same_origin(scope: Scope, headers: Headers, *, required: bool) -> bool:
    """Whether a browser sent this from a page of ours; if not `required`, a caller that says nothing passes.

    Origin is compared with the Host the browser used and with OFFLOAD_PUBLIC_URL (OWASP, Cross-Site Request
    Forgery Prevention: Verifying Origin With Standard Headers); Sec-Fetch-Site counts where it is sent.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site not in (None, "same-origin", "none"):
        return False
    if origin is None:
        return site is not None or not required
    return _parts(origin) in _own_origins(scope, headers)


def _refusal(
    scope: Scope, headers: Headers, actor: Actor | None, credential: Credential | None
) -> OffloadError | None:
    if actor is None and not _public(scope):
        if credential is not None and credential.kind == "token":
            return Unauthorized("The token is not valid.", code="token_not_valid")
        if scope["path"].startswith(_STREAMLIT):  # shown to people whose session ended with a page open
            return Unauthorized("You are signed out. Reload this page to sign in.")
        return Unauthorized("Sign in, or send an API token as Authorization: Bearer.")
    if credential is not None and credential.kind == "token":
        return None  # no browser sends a bearer token by itself
    writes = scope["type"] == "http" and scope["method"] not in _SAFE_METHODS
    if (writes or scope["type"] == "websocket") and not same_origin(
        scope, headers, required=writes and actor is not None
    ):
        return Forbidden("This was sent from another site.", code="cross_origin")
    return None


def _public(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["type"] == "http" and (path in _PUBLIC or path.startswith(_PUBLIC_FOLDERS))


async def _refuse(
    refusal: OffloadError, scope: Scope, headers: Headers, receive: Receive, send: Send
) -> None:
    unauthorized = isinstance(refusal, Unauthorized)
    if scope["type"] == "websocket":
        code = WS_UNAUTHORIZED if unauthorized else WS_FORBIDDEN
        await send({"type": "websocket.close", "code": code, "reason": refusal.message})
    elif unauthorized and _page_request(scope, headers):
        await RedirectResponse(_login_path(scope), 303, {"Cache-Control": "no-store"})(scope, receive, send)
    elif unauthorized and scope["path"].startswith(_STREAMLIT):  # the page shows the body as it comes
        await PlainTextResponse(refusal.message, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
    else:
        extra = {"WWW-Authenticate": "Bearer"} if unauthorized else {}
        await errors.answer(refusal, scope, headers=extra)(scope, receive, send)


def _page_request(scope: Scope, headers: Headers) -> bool:
    """Whether a person waits for a page, who is better served by the sign-in form than by an error."""
    if scope["method"] not in ("GET", "HEAD"):
        return False
    if headers.get("sec-fetch-mode") == "navigate" or "text/html" in headers.get("accept", ""):
        return True
    return not f"{scope['path']}/".startswith(_MACHINE_FOLDERS)


def _login_path(scope: Scope) -> str:
    target = quote(scope["path"], safe="/")
    query = scope.get("query_string", b"").decode("latin-1")
    if query:
        target += f"?{query}"
    return LOGIN if target == "/" else f"{LOGIN}?next={quote(target, safe='/')}"


def _while_signed_in(credential: Credential, receive: Receive, send: Send) -> Receive:
    """Close an open WebSocket at the first message after its session has ended.

    Everything a page does begins with a message of its browser, so nothing runs for a revoked session.
    """

    async def receive_checked() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive" and credential.actor() is None:
            await send({"type": "websocket.close", "code": WS_UNAUTHORIZED, "reason": "signed out"})
            return {"type": "websocket.disconnect", "code": WS_UNAUTHORIZED, "reason": "signed out"}
        return message

    return receive_checked


def _own_origins(scope: Scope, headers: Headers) -> set[tuple[str, str, int] | None]:
    host = headers.get("host", "")
    scheme = "https" if scope.get("scheme") in ("https", "wss") else "http"
    # A proxy may have ended https before us, so the browser's page may be the https one of the same host.
    own = {_parts(f"{scheme}://{host}"), _parts(f"https://{host}")}
    if public_url := settings.get().public_url:
        own.add(_parts(public_url))
    return own - {None}


def _parts(origin: str) -> tuple[str, str, int] | None:
    try:
        url = urlsplit(origin)
        port = url.port
    except ValueError:
        return None
    if url.scheme not in _PORTS or not url.hostname:
        return None
    return url.scheme, url.hostname, port or _PORTS[url.scheme]
