"""People, roles, one-time sign-in links and API tokens: what administrators do."""

import re
import secrets
from itertools import count
from pathlib import Path

from engine import clock, settings
from engine.errors import Conflict, Forbidden, InvalidInput, NotFound
from engine.lib import secret
from engine.queries import access as queries
from engine.records import audit, db, sessions, tokens, users
from engine.words import SYSTEM, Actor, Role

TOKEN_PREFIX = "ofl_"  # noqa: S105 - marks tokens for secret scanners; no secret itself
MAX_NAME = 64
LOCAL_URL = "http://127.0.0.1:8501"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_RESERVED = frozenset({SYSTEM.name, "nobody", "unknown"})
"""Names the audit trail uses for those who are no users."""


def add_user(actor: Actor, name: str, role: Role) -> str:
    """Add a person and return the path of a one-time link that signs them in; raise Conflict if taken."""
    _require_admin(actor)
    check_name(name)
    with db.main().write() as tx:
        if not users.add(tx, name, role):
            raise Conflict(f"There is a user {name} already.", code="name_taken")
        audit.add(tx, actor, "user.add", name, {"role": role.value})
        return _new_link(tx, name)


def new_link(actor: Actor, name: str) -> str:
    """Return the path of a fresh one-time link for a person, good for `signin_link_h` hours."""
    _require_admin(actor)
    with db.main().write() as tx:
        user = _known(tx, name)
        if user.disabled_at_ms is not None:
            raise Conflict(f"{user.name} is shut out; enable the user first.", code="user_disabled")
        audit.add(tx, actor, "user.link", user.name)
        return _new_link(tx, user.name)


def first_link() -> str | None:
    """Return the path of a fresh link for the administrator, or None once one has signed in.

    Makes the user `admin` if there is no administrator yet.
    """
    with db.main().write() as tx:
        if queries.admin_signed_in(tx):
            return None
        name = queries.first_admin(tx) or _make_admin(tx)
        audit.add(tx, SYSTEM, "user.link", name)
        return _new_link(tx, name)


def set_role(actor: Actor, name: str, role: Role) -> None:
    """Change what a person may do, from their next request on; raise Conflict for the last administrator."""
    _require_admin(actor)
    with db.main().write() as tx:
        user = _known(tx, name)
        if role is not Role.ADMIN:
            _keep_an_admin(tx, user)
        users.set_role(tx, user.name, role)
        audit.add(tx, actor, "user.role", user.name, {"from": user.role.value, "to": role.value})


def disable_user(actor: Actor, name: str) -> None:
    """Shut a person out at once: sessions, tokens and links end; their work stays."""
    _require_admin(actor)
    with db.main().write() as tx:
        user = _known(tx, name)
        _keep_an_admin(tx, user)
        users.disable(tx, user.name)
        ended = {
            "sessions": sessions.remove_all(tx, user.name),
            "tokens": tokens.remove_all(tx, user.name),
            "links": users.remove_links(tx, user.name),
        }
        audit.add(tx, actor, "user.disable", user.name, ended)


def end_sessions(actor: Actor, name: str) -> int:
    """Sign a person out everywhere; return how many sessions ended. Tokens stay."""
    _require_admin(actor)
    with db.main().write() as tx:
        user = _known(tx, name)
        n = sessions.remove_all(tx, user.name)
        audit.add(tx, actor, "user.sign_out", user.name, {"sessions": n})
    return n


def enable_user(actor: Actor, name: str) -> None:
    """Let a person back in; they need a new link, and new tokens."""
    _require_admin(actor)
    with db.main().write() as tx:
        user = _known(tx, name)
        users.enable(tx, user.name)
        audit.add(tx, actor, "user.enable", user.name)


def new_token(actor: Actor, name: str, label: str = "") -> str:
    """Return a new API token of a person. It is shown this once: only its digest is stored."""
    if actor.name != name:
        _require_admin(actor)
    if len(label) > MAX_NAME or not label.isprintable():
        raise InvalidInput(
            "The label is not valid.", fields={"label": f"at most {MAX_NAME} printable characters"}
        )
    token, token_id = secret.new(TOKEN_PREFIX), secrets.token_hex(6)
    with db.main().write() as tx:
        user = _known(tx, name)
        if user.disabled_at_ms is not None:
            raise Conflict(f"{user.name} is shut out; enable the user first.", code="user_disabled")
        tokens.add(tx, token_id, secret.digest(token), user.name, label)
        audit.add(tx, actor, "token.add", user.name, {"token_id": token_id, "label": label})
    return token


def revoke_token(actor: Actor, token_id: str) -> None:
    """End a token at once; raise NotFound if there is none such."""
    _require_admin(actor)
    with db.main().write() as tx:
        if not tokens.remove(tx, token_id):
            raise NotFound("There is no such token.")
        audit.add(tx, actor, "token.revoke", token_id)


def check_name(name: str) -> None:
    """Raise InvalidInput for a name that cannot be a user's."""
    if not _NAME.fullmatch(name):
        rule = f"1 to {MAX_NAME} letters, digits and . _ @ + -, beginning with a letter or digit"
        raise InvalidInput(f"A user name has {rule}.", fields={"name": rule})
    if name.lower() in _RESERVED:
        raise InvalidInput(f"The name {name} is reserved.", fields={"name": "reserved"})


def remember_address(url: str) -> None:
    """Note where the pages are reached, so that links made elsewhere on this machine lead there."""
    _address_file().write_text(url)


def address() -> str:
    """Return where people reach the pages: the setting, or where they were last started."""
    if public_url := settings.get().public_url:
        return public_url
    try:
        return _address_file().read_text().strip() or LOCAL_URL
    except OSError:
        return LOCAL_URL


def link_path(token: str) -> str:
    """Return the path that spends a link."""
    return f"/auth/login?token={token}"


def _address_file() -> Path:
    return db.main().path.with_name("pages.url")


def _new_link(tx: db.Transaction, name: str) -> str:
    token = secret.new()
    expires_at_ms = clock.now_ms() + int(settings.get().signin_link_h * 3_600_000)
    users.add_link(tx, secret.digest(token), name, expires_at_ms)
    return link_path(token)


def _make_admin(tx: db.Transaction) -> str:
    names = (f"admin{n}" if n > 1 else "admin" for n in count(1))  # `admin` may be taken by a lesser role
    name = next(name for name in names if users.add(tx, name, Role.ADMIN))
    audit.add(tx, SYSTEM, "user.add", name, {"role": Role.ADMIN.value})
    return name


def _known(tx: db.Transaction, name: str) -> queries.User:
    user = queries.user(name, tx)
    if user is None:
        raise NotFound(f"There is no user {name}.")
    return user


def _keep_an_admin(tx: db.Transaction, user: queries.User) -> None:
    if user.role is Role.ADMIN and queries.n_admins(tx, but=user.name) == 0:
        raise Conflict(
            f"{user.name} is the last administrator; make another one first.", code="last_administrator"
        )


def _require_admin(actor: Actor) -> None:
    if not actor.role.includes(Role.ADMIN):
        raise Forbidden("Only administrators may do this.")
