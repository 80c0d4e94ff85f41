"""Sign in, sign out, set a password. Forms for people; programs send an API token instead."""

from functools import partial
from typing import Any
from urllib.parse import quote

import anyio
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from engine import settings
from engine.errors import InvalidInput, OffloadError, RateLimited
from engine.lib import passwords
from engine.queries import access as queries
from engine.services import signin
from engine.web import actors, guard, html
from engine.web.envelope import secure

router = APIRouter(prefix="/auth", include_in_schema=False)

NO_STORE = {"Cache-Control": "no-store"}
MAX_NEXT = 2_000

_places = anyio.CapacityLimiter(4)
"""Threads for argon2 and the writes of a sign-in, so that a burst of sign-ins leaves the others free."""


@router.get("/login")
async def login_page(request: Request, token: str = "", next: str = "/") -> Response:
    """Show the form; or, with a one-time link's token, spend it and sign in."""
    target = safe_next(next)
    if token:
        return await _spend(request, token, target)
    if await actors.anybody(request) is not None:
        return RedirectResponse(target, 303, NO_STORE)
    notice = "You are signed out." if "signed_out" in request.query_params else ""
    return html.page("login.html", title="Sign in", error="", notice=notice, name="", next=target)


@router.post("/login")
async def login(request: Request) -> Response:
    """Sign in by name and password; every cause of refusal reads the same."""
    form = await _form(request)
    target, name = safe_next(form.get("next", "/")), form.get("name", "").strip()
    attempt = partial(signin.by_password, name, form.get("password", ""), _visit(request))
    try:
        signed_in = await anyio.to_thread.run_sync(attempt, limiter=_places)
    except OffloadError as error:
        status = 429 if isinstance(error, RateLimited) else 401
        values = {"error": error.message, "notice": "", "name": name[:64], "next": target}
        return html.page("login.html", status=status, title="Sign in", **values)
    return _enter(request, signed_in, target)


@router.get("/logout")
async def logout_page(request: Request) -> Response:
    """Ask; following a link must not sign anybody out."""
    actor = await actors.anybody(request)
    if actor is None:
        return RedirectResponse(guard.LOGIN, 303, NO_STORE)
    return html.page("logout.html", title="Sign out", name=actor.name)


@router.post("/logout")
async def logout(request: Request) -> Response:
    """End the session and forget the cookie."""
    cookie = request.cookies.get(guard.COOKIE)
    if cookie:
        await anyio.to_thread.run_sync(signin.sign_out, cookie, limiter=_places)
    response = RedirectResponse(f"{guard.LOGIN}?signed_out=1", 303, NO_STORE)
    response.delete_cookie(
        guard.COOKIE, path="/", secure=secure(request.scope), httponly=True, samesite="lax"
    )
    return response


@router.get("/password")
async def password_page(request: Request, next: str = "/") -> Response:
    """Show the form that sets or changes one's password."""
    return await _password_form(request, safe_next(next))


@router.post("/password")
async def password(request: Request) -> Response:
    """Set one's password; other sessions of the person end."""
    form = await _form(request)
    target, new = safe_next(form.get("next", "/")), form.get("password", "")
    cookie = request.cookies.get(guard.COOKIE, "")
    if form.get("repeat", new) != new:
        return await _password_form(request, target, error="The two new passwords differ.", status=422)
    change = partial(signin.set_password, cookie, new, form.get("current", ""))
    try:
        await anyio.to_thread.run_sync(change, limiter=_places)
    except (InvalidInput, RateLimited) as error:
        status = 429 if isinstance(error, RateLimited) else 422
        return await _password_form(request, target, error=error.message, status=status)
    return RedirectResponse(target, 303, NO_STORE)


def safe_next(target: str) -> str:
    """Return a path of ours to go on to, or `/` for anything that could lead elsewhere."""
    if not target.startswith("/") or target.startswith(("//", "/auth/")) or len(target) > MAX_NEXT:
        return "/"
    if "\\" in target or any(ord(character) < 33 or ord(character) == 127 for character in target):
        return "/"  # browsers read a backslash as a slash, and drop control characters
    return target


async def _spend(request: Request, token: str, target: str) -> Response:
    if "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
        return Response(status_code=425, headers=NO_STORE)  # a browser looking ahead must not use it up
    try:
        signed_in = await anyio.to_thread.run_sync(
            partial(signin.by_link, token, _visit(request)), limiter=_places
        )
    except OffloadError as error:
        values: dict[str, Any] = {"error": error.message, "notice": "", "name": "", "next": target}
        return html.page("login.html", status=401, title="Sign in", **values)
    if not signed_in.has_password:
        target = f"/auth/password?next={quote(target, safe='/')}"
    return _enter(request, signed_in, target)


def _enter(request: Request, signed_in: signin.SignedIn, target: str) -> Response:
    response = RedirectResponse(target, 303, NO_STORE)
    response.set_cookie(
        guard.COOKIE,
        signed_in.cookie,
        max_age=int(settings.get().session_h * 3600),
        path="/",
        secure=secure(request.scope),
        httponly=True,
        samesite="lax",
    )
    return response


async def _password_form(request: Request, target: str, *, error: str = "", status: int = 200) -> Response:
    actor = await actors.anybody(request)
    session = signin.session_of(request.cookies.get(guard.COOKIE, ""))
    user = queries.user(session.name) if session else None
    if actor is None or session is None or user is None:
        return RedirectResponse(f"{guard.LOGIN}?next=/auth/password", 303, NO_STORE)
    has_password = user.password_hash is not None
    return html.page(
        "password.html",
        status=status,
        title="Password",
        name=user.name,
        has_password=has_password,
        ask_current=has_password and session.method != "link",
        min_chars=passwords.MIN_CHARS,
        error=error,
        next=target,
    )


async def _form(request: Request) -> dict[str, str]:
    """Return the text fields of a form; files and repeated fields are nobody's business here."""
    async with request.form(max_files=0, max_fields=10) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def _visit(request: Request) -> signin.Visit:
    address = request.client.host if request.client else "unknown"
    return signin.Visit(
        address, request.headers.get("user-agent", "")[:200], request.cookies.get(guard.COOKIE)
    )
