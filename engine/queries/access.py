"""Who is who: reads of people, sessions, tokens and the audit trail."""

import json
from dataclasses import dataclass
from typing import Any

from engine import clock
from engine.records import db
from engine.words import Role


@dataclass(frozen=True)
class User:
    """A person. `password_hash` is None for those who sign in by link only."""

    name: str
    role: Role
    password_hash: str | None
    created_at_ms: int
    signed_in_at_ms: int | None
    disabled_at_ms: int | None

    def document(self) -> dict[str, Any]:
        """Return what may be shown."""
        return {
            "name": self.name,
            "role": self.role.value,
            "has_password": self.password_hash is not None,
            "created_at": clock.iso(self.created_at_ms),
            "signed_in_at": clock.iso(self.signed_in_at_ms),
            "disabled_at": clock.iso(self.disabled_at_ms),
        }


@dataclass(frozen=True)
class Session:
    """A live session and the role its person has now."""

    name: str
    role: Role
    expires_at_ms: int
    method: str


@dataclass(frozen=True)
class Token:
    """An API token, without its secret, which nobody knows."""

    id: str
    user_name: str
    label: str
    created_at_ms: int

    def document(self) -> dict[str, Any]:
        """Return what may be shown."""
        return {
            "token_id": self.id,
            "name": self.user_name,
            "label": self.label,
            "created_at": clock.iso(self.created_at_ms),
        }


@dataclass(frozen=True)
class AuditRow:
    """One action of a person or token."""

    id: int
    at_ms: int
    actor: str
    via: str
    action: str
    object: str
    detail: dict[str, Any]
    correlation_id: str | None


@dataclass(frozen=True)
class Tries:
    """Sign-ins begun and not succeeded since some time, and the oldest of each kind."""

    n_pair: int
    n_name: int
    n_address: int
    oldest_at_ms: int


def user(name: str, reader: db.Reader | None = None) -> User | None:
    """Return a person by name, upper or lower case alike."""
    row = (reader or db.main()).one(f"{_USERS} where lower(name) = lower(:name)", name=name)
    return _user(row) if row else None


def users() -> list[User]:
    """Return everybody, by name."""
    return [_user(row) for row in db.main().read(f"{_USERS} order by lower(name)")]


def n_admins(reader: db.Reader, *, but: str) -> int:
    """Count administrators who are not shut out, without the one named `but`."""
    return int(
        reader.value(
            "select count(*) from users where role = 'admin' and disabled_at_ms is null and name <> :but",
            but=but,
        )
    )


def admin_signed_in(reader: db.Reader) -> bool:
    """Whether an administrator who is not shut out has ever signed in."""
    return bool(
        reader.value(
            """select count(*) from users where role = 'admin' and disabled_at_ms is null
               and signed_in_at_ms is not null"""
        )
    )


def first_admin(reader: db.Reader) -> str | None:
    """Return the administrator who was added first."""
    name = reader.value(
        """select name from users where role = 'admin' and disabled_at_ms is null
           order by created_at_ms, name limit 1"""
    )
    return str(name) if name else None


def session(id_hash: str) -> Session | None:
    """Return a session that is still good; one indexed read, done at each request and script run."""
    row = db.main().one(
        """select u.name, u.role, s.expires_at_ms, s.method
           from sessions s join users u on u.name = s.user_name
           where s.id_hash = :id_hash and s.expires_at_ms > :now and u.disabled_at_ms is null""",
        id_hash=id_hash,
        now=clock.now_ms(),
    )
    return Session(row["name"], Role(row["role"]), row["expires_at_ms"], row["method"]) if row else None


def link_exists(secret_hash: str) -> bool:
    """Whether there is such a sign-in link, spent or not."""
    sql = "select count(*) from signin_links where secret_hash = :hash"
    return bool(db.main().value(sql, hash=secret_hash))


def token_owner(secret_hash: str) -> tuple[str, Role] | None:
    """Return whose token this is; one indexed read, done at each request."""
    row = db.main().one(
        """select u.name, u.role from tokens t join users u on u.name = t.user_name
           where t.secret_hash = :hash and u.disabled_at_ms is null""",
        hash=secret_hash,
    )
    return (row["name"], Role(row["role"])) if row else None


def tokens(name: str | None = None) -> list[Token]:
    """Return the tokens of a person or of everybody, newest first."""
    rows = db.main().read(
        """select id, user_name, label, created_at_ms from tokens
           where cast(:name as text) is null or lower(user_name) = lower(:name)
           order by created_at_ms desc, id""",
        name=name,
    )
    return [Token(**dict(row)) for row in rows]


def tries(reader: db.Reader, name: str, address: str, since_ms: int) -> Tries:
    """Count the tries of this name at this address, of the name anywhere, and of the address for any name."""
    row = reader.one(
        """select sum(case when name = :name and address = :address then 1 else 0 end) as n_pair,
                  sum(case when name = :name then 1 else 0 end) as n_name,
                  sum(case when address = :address then 1 else 0 end) as n_address,
                  min(at_ms) as oldest
           from signin_tries where at_ms >= :since and (name = :name or address = :address)""",
        name=name,
        address=address,
        since=since_ms,
    )
    if row is None or row["oldest"] is None:
        return Tries(0, 0, 0, clock.now_ms())
    return Tries(row["n_pair"], row["n_name"], row["n_address"], row["oldest"])


def audit(*, limit: int = 100, before_id: int | None = None, actor: str | None = None) -> list[AuditRow]:
    """Return audit rows, newest first, older than row `before_id`."""
    rows = db.main().read(
        """select id, at_ms, actor, via, action, object, detail, correlation_id from audit
           where (cast(:before as integer) is null or id < :before)
             and (cast(:actor as text) is null or actor = :actor)
           order by id desc limit :limit""",
        before=before_id,
        actor=actor,
        limit=limit,
    )
    return [AuditRow(**{**dict(row), "detail": json.loads(row["detail"])}) for row in rows]


_USERS = "select name, role, password_hash, created_at_ms, signed_in_at_ms, disabled_at_ms from users"


def _user(row: db.Row) -> User:
    return User(**{**dict(row), "role": Role(row["role"])})
