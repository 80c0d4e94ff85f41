"""Kept answers: per owner, never shared, and only what the server allows to be kept (RFC 9111)."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine import clock
from engine.lib import trace
from engine.lib.http_date import http_date_s
from engine.records import audit, db, responses
from engine.services.calls.model import ApiCall
from engine.words import Actor

_KEPT_STATUS = frozenset({200, 203, 301, 404, 410})
_KEPT_METHODS = frozenset({"GET", "HEAD"})
_MOST_BYTES = 1024 * 1024
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Kept:
    """A kept answer: the result document as it was, and when it was stored and ends."""

    document: dict[str, Any]
    created_at_ms: int
    expires_at_ms: int


def applies(call: ApiCall) -> bool:
    """Whether a call asks for the cache and may use it."""
    return bool(call.cache_ttl_s) and call.method in _KEPT_METHODS


def key(owner: str, call: ApiCall) -> str:
    """Return the digest of everything the answer may depend on."""
    parts = [
        owner,
        call.method,
        call.full_url,
        sorted((name.lower(), value) for name, value in call.headers.items()),
        hashlib.sha256(call.content or b"").hexdigest(),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def holds(owner: str, call: ApiCall) -> bool:
    """Whether a fresh answer is kept; counts nothing."""
    return applies(call) and responses.fresh(db.cache(), key(owner, call), clock.now_ms()) is not None


def find(owner: str, call: ApiCall) -> Kept | None:
    """Return a fresh answer, and count the look-up."""
    if not applies(call):
        return None
    now_ms = clock.now_ms()
    row = responses.fresh(db.cache(), key(owner, call), now_ms)
    trace.cache_lookup(row is not None)
    with db.cache().write() as tx:
        responses.count(tx, owner, now_ms // _DAY_MS, hits=int(row is not None), misses=int(row is None))
        if row is not None:
            responses.hit(tx, row["key"])
    return Kept(json.loads(row["answer"]), row["created_at_ms"], row["expires_at_ms"]) if row else None


def keep(owner: str, call: ApiCall, headers: list[tuple[str, str]], document: dict[str, Any]) -> bool:
    """Keep an answer if the server and its size allow it; return whether it is kept."""
    ttl_s = time_to_live_s(call, document["status"], headers)
    if ttl_s <= 0:
        return False
    answer = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    if len(answer) > _MOST_BYTES:
        return False
    now_ms = clock.now_ms()
    with db.cache().write() as tx:
        responses.put(
            tx,
            key(owner, call),
            owner=owner,
            method=call.method,
            url=call.shown_url,
            answer=answer,
            now_ms=now_ms,
            expires_at_ms=now_ms + int(ttl_s * 1000),
        )
        responses.count(tx, owner, now_ms // _DAY_MS, stored=1)
    return True


def forget(actor: Actor) -> int:
    """Delete the actor's kept answers; return how many."""
    with audit.around(actor, "call_cache.empty", actor.name) as found, db.cache().write() as tx:
        found["n_answers"] = n_answers = responses.forget(tx, actor.name)
    return n_answers


def time_to_live_s(call: ApiCall, status: int, headers: list[tuple[str, str]]) -> float:
    """Return how long an answer may be kept: what was asked for, at most what the server allows."""
    found: dict[str, str] = {}
    for name, value in headers:
        found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
    varies = {name.strip() for name in found.get("vary", "").split(",")}
    if not applies(call) or status not in _KEPT_STATUS or "set-cookie" in found or "*" in varies:
        return 0
    if re.search(r"\b(no-store|no-cache|private)\b", found.get("cache-control", "").lower()):
        return 0
    return min(float(call.cache_ttl_s or 0), _allowed_s(found))


def _allowed_s(headers: Mapping[str, str]) -> float:
    """Return how long the server lets an answer be kept from now on (RFC 9111, sections 4.2.1 and 5.3)."""
    now_s, age = clock.now_ms() / 1000, headers.get("age", "").strip()
    max_age = re.search(r"\bmax-age=\"?(\d{1,9})", headers.get("cache-control", "").lower())
    if max_age:
        lifetime_s = float(max_age[1])
    elif "expires" in headers:
        dated = http_date_s(headers.get("date", ""))
        lifetime_s = (http_date_s(headers["expires"]) or 0.0) - (now_s if dated is None else dated)
    else:
        return math.inf
    return lifetime_s - (float(age[:9]) if age.isascii() and age.isdigit() else 0.0)
