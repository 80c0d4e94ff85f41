"""Kept answers of API calls, and how often they helped. Each verb is one statement."""

from engine.records.db import Reader, Row, Transaction

MOST = 5_000
"""Answers kept at most; the ones that expire first go."""
_AT_ONCE = 100


def fresh(reader: Reader, key: str, now_ms: int) -> Row | None:
    """Return a kept answer that has not expired."""
    return reader.one(
        "select * from responses where key = :key and expires_at_ms > :now", key=key, now=now_ms
    )


def put(
    tx: Transaction,
    key: str,
    *,
    owner: str,
    method: str,
    url: str,
    answer: bytes,
    now_ms: int,
    expires_at_ms: int,
) -> None:
    """Keep an answer; an older one of the same key is replaced, and room is made."""
    tx.run(
        """insert into responses (key, owner, method, url, answer, n_bytes, created_at_ms, expires_at_ms)
           values (:key, :owner, :method, :url, :answer, :size, :now, :expires)
           on conflict (key) do update set answer = excluded.answer, n_bytes = excluded.n_bytes,
               created_at_ms = excluded.created_at_ms, expires_at_ms = excluded.expires_at_ms, n_hits = 0""",
        key=key,
        owner=owner,
        method=method,
        url=url,
        answer=answer,
        size=len(answer),
        now=now_ms,
        expires=expires_at_ms,
    )
    _make_room(tx, now_ms)


def _make_room(tx: Transaction, now_ms: int) -> None:
    tx.run(
        """delete from responses where key in
           (select key from responses where expires_at_ms <= :now order by expires_at_ms limit :n)""",
        now=now_ms,
        n=_AT_ONCE,
    )
    tx.run(
        """delete from responses where key in (select key from responses order by expires_at_ms
               limit max(0, (select count(*) from responses) - :most))""",
        most=MOST,
    )


def hit(tx: Transaction, key: str) -> None:
    """Count a use of a kept answer."""
    tx.run("update responses set n_hits = n_hits + 1 where key = :key", key=key)


def count(tx: Transaction, owner: str, day: int, *, hits: int = 0, misses: int = 0, stored: int = 0) -> None:
    """Add to an owner's statistics of a day (days since 1970, UTC)."""
    tx.run(
        """insert into response_counts (owner, day, n_hits, n_misses, n_stored)
           values (:owner, :day, :hits, :misses, :stored)
           on conflict (owner, day) do update set n_hits = response_counts.n_hits + :hits,
               n_misses = response_counts.n_misses + :misses,
               n_stored = response_counts.n_stored + :stored""",
        owner=owner,
        day=day,
        hits=hits,
        misses=misses,
        stored=stored,
    )


def forget(tx: Transaction, owner: str) -> int:
    """Delete an owner's kept answers; return how many."""
    return tx.run("delete from responses where owner = :owner", owner=owner)
