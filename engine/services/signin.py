"""Sign in, stay signed in, sign out; and find out who sends a cookie or a token."""

from dataclasses import dataclass, field

from engine import clock, settings
from engine.errors import Conflict, InvalidInput, RateLimited, Unauthorized
from engine.lib import passwords, secret
from engine.queries import access as queries
from engine.records import audit, db, sessions, users
from engine.words import Actor, Role

WINDOW_MS = 15 * 60_000
ANYWHERE = 10
"""How many times `login_tries` one name may fail over all addresses, and one address over all names."""
MAX_SECRET = 200
NOBODY = Actor("nobody", Role.VIEWER)
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Visit:
    """Where a sign-in comes from, and the session it replaces (cookie value), if any."""

    address: str
    agent: str = ""
    replaces: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SignedIn:
    """A new session. `cookie` is its secret: it goes to the browser and is not stored."""

    actor: Actor
    cookie: str = field(repr=False)
    expires_at_ms: int
    has_password: bool


def by_password(name: str, password: str, visit: Visit) -> SignedIn:
    """Sign in; raise Unauthorized with one message for all causes, RateLimited after too many tries."""
    key = name.lower()[:64]
    _begin_try(key, visit.address)
    user = queries.user(name)
    stored = user.password_hash if user and user.disabled_at_ms is None else None
    if not passwords.matches(stored, password) or user is None:
        _audit_refusal(user, visit)
        raise Unauthorized("Name or password is wrong.", code="signin_failed")
    fresh = passwords.hash_password(password) if stored and passwords.outdated(stored) else None
    with db.main().write() as tx:
        users.forget_tries(tx, key, visit.address)
        if fresh:
            users.set_password(tx, user.name, fresh)
        return _start(tx, user, visit, "password")


def by_link(token: str, visit: Visit) -> SignedIn:
    """Spend a one-time link and sign in; raise Unauthorized if it is unknown, expired or spent.

    Of any number of clients that race for one link, one gets in.
    """
    digest = secret.digest(token[:MAX_SECRET])
    if queries.link_exists(digest):  # so that guesses never take the write lock
        with db.main().write() as tx:
            name = users.spend_link(tx, digest)
            user = queries.user(name, tx) if name else None
            if user is not None and user.disabled_at_ms is None:
                return _start(tx, user, visit, "link")
    raise Unauthorized("This sign-in link has been used or has expired.", code="link_not_valid")


def sign_out(cookie: str) -> None:
    """End the session of a cookie; fine if it had ended already."""
    session = queries.session(_id_hash(cookie))
    if session is None:
        return
    with db.main().write() as tx:
        sessions.remove(tx, _id_hash(cookie))
        audit.add(tx, Actor(session.name, session.role), "session.end", session.name)


def sign_out_everywhere(actor: Actor) -> int:
    """End all sessions of the actor; return how many."""
    with db.main().write() as tx:
        n = sessions.remove_all(tx, actor.name)
        audit.add(tx, actor, "session.end_all", actor.name, {"sessions": n})
    return n


def set_password(cookie: str, password: str, current: str = "") -> None:
    """Set the password of the signed-in person and end their other sessions.

    Who signed in by a one-time link need not know the current password: that is how a lost one is replaced.
    """
    session = queries.session(_id_hash(cookie))
    user = queries.user(session.name) if session else None
    if session is None or user is None:
        raise Unauthorized
    passwords.check(password)
    if user.password_hash and session.method != "link":
        _begin_try(user.name.lower(), "password change")
        if not passwords.matches(user.password_hash, current):
            raise InvalidInput("The current password is wrong.", fields={"current": "wrong"})
    stored = passwords.hash_password(password)
    with db.main().write() as tx:
        now = queries.user(user.name, tx)
        if now is None or now.password_hash != user.password_hash or now.disabled_at_ms is not None:
            raise Conflict("The user was changed meanwhile; try again.")
        users.set_password(tx, user.name, stored)
        users.forget_tries(tx, user.name.lower(), "password change")
        n = sessions.remove_all(tx, user.name, but=_id_hash(cookie))
        audit.add(tx, Actor(user.name, user.role), "password.set", user.name, {"sessions_ended": n})


def session_actor(cookie: str) -> Actor | None:
    """Return who a session cookie belongs to, as of now."""
    session = queries.session(_id_hash(cookie))
    return Actor(session.name, session.role, "session") if session else None


def session_of(cookie: str) -> queries.Session | None:
    """Return the session of a cookie, with its end and how it began."""
    return queries.session(_id_hash(cookie))


def token_actor(token: str) -> Actor | None:
    """Return who an API token belongs to, as of now."""
    owner = queries.token_owner(secret.digest(token[:MAX_SECRET]))
    return Actor(owner[0], owner[1], "token") if owner else None


def _id_hash(cookie: str) -> str:
    return secret.digest(cookie[:MAX_SECRET])


def _begin_try(key: str, address: str) -> None:
    """Count a try before the password is looked at, so that tries made at once cannot pass together."""
    limit = settings.get().login_tries
    since_ms = clock.now_ms() - WINDOW_MS
    with db.main().write() as tx:
        users.remove_tries_before(tx, since_ms)
        made = queries.tries(tx, key, address, since_ms)
        if made.n_pair < limit and max(made.n_name, made.n_address) < limit * ANYWHERE:
            users.add_try(tx, key, address)
            return
    raise RateLimited(
        "Too many sign-in attempts; try again in some minutes.", retry_at_ms=made.oldest_at_ms + WINDOW_MS
    )


def _audit_refusal(user: queries.User | None, visit: Visit) -> None:
    """Leave a row for unknown names too: a disk flush more or less would tell who exists.

    Not the name that was typed, though: people type passwords there.
    """
    with db.main().write() as tx:
        name = user.name if user else UNKNOWN
        audit.add(tx, NOBODY, "session.refused", name, {"address": visit.address})


def _start(tx: db.Transaction, user: queries.User, visit: Visit, method: str) -> SignedIn:
    cookie = secret.new()
    expires_at_ms = clock.now_ms() + int(settings.get().session_h * 3_600_000)
    if visit.replaces:
        sessions.remove(tx, _id_hash(visit.replaces))
    sessions.add(
        tx,
        _id_hash(cookie),
        user.name,
        expires_at_ms=expires_at_ms,
        method=method,
        address=visit.address,
        agent=visit.agent,
    )
    users.mark_signed_in(tx, user.name)
    actor = Actor(user.name, user.role, "session")
    audit.add(tx, actor, "session.start", user.name, {"method": method, "address": visit.address})
    return SignedIn(actor, cookie, expires_at_ms, user.password_hash is not None)
