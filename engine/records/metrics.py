"""Recorded units: the dictionary of series, raw events and their queries."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, NamedTuple

from engine.records import db

MAX_SERIES = 2_000
MAX_TEXTS = 10_000
"""Texts of statements: an application whose SQL names ever new tables would fill the disk with them."""
OTHER = "_OTHER"
"""The name under which further series are counted, once the dictionary is full."""
TOTAL = "*"
"""The name of the sum over all series of a service and kind."""


class Series(NamedTuple):
    """What is told apart. `kind` is http, stream, run, fragment, task, wait, call or query."""

    service: str
    kind: str
    name: str
    method: str
    outcome: str

    def total(self) -> "Series":
        """Return the series that sums up all of the same service and kind."""
        return Series(self.service, self.kind, TOTAL, "", "")


@dataclass(slots=True)
class SqlRun:
    """How often one statement ran in one event."""

    sql_id: str
    n: int
    total_us: int
    max_us: int
    n_on_loop: int
    caller: str


@dataclass(slots=True)
class Event:
    """One unit of work as it is stored. `band` is 0 good, 1 warning, 2 critical; `heavy` a set of bits."""

    series: Series
    at_ms: int
    duration_us: int
    wait_us: int
    status: int
    band: int
    heavy: int
    n_queries: int
    query_us: int
    n_cache_hits: int
    n_cache_misses: int
    response_bytes: int
    correlation_id: str
    parent_id: str | None
    user_hash: str | None
    role: str | None
    keep_reason: str | None
    detail: str | None
    sql: list[SqlRun] = field(default_factory=list)


class SeriesIds:
    """Ids of series, remembered by one writer; nothing is remembered of a transaction that failed."""

    def __init__(self) -> None:
        self._known: dict[Series, int] = {}

    def get(self, tx: db.Transaction, series: Series, at_ms: int) -> int:
        """Return the id of a series, made if it is new; that of `_OTHER` once `MAX_SERIES` are known."""
        known = self._known.get(series)
        if known is None:
            if len(self._known) >= 2 * MAX_SERIES:  # beyond the cap names are not ours to choose
                self._known.clear()
            known = self._known[series] = _series_id(tx, series, at_ms)
        return known

    def forget(self) -> None:
        """Read the ids anew: after a rollback some of them do not exist."""
        self._known.clear()


def add_events(tx: db.Transaction, ids: SeriesIds, events: Iterable[Event]) -> None:
    """Store raw events and their queries."""
    first = max(tx.value("select max(id) from events") or 0, _trimmed(tx)) + 1
    numbered = list(enumerate(events, first))
    tx.run_many(_INSERT_EVENT, (_event_row(tx, ids, number, event) for number, event in numbered))
    with_sql = [(number, event) for number, event in numbered if event.sql]
    if with_sql:
        tx.run_many(_INSERT_SQL, _sql_rows(with_sql))


def add_sql_texts(tx: db.Transaction, texts: Mapping[str, str]) -> None:
    """Store the text of statements by their id; known ones stay, and beyond `MAX_TEXTS` no more are kept."""
    if not texts or tx.value("select count(*) from sql_texts") >= MAX_TEXTS:
        return
    tx.run_many(
        "insert into sql_texts (id, text) values (:id, :text) on conflict (id) do nothing",
        [{"id": key, "text": text} for key, text in texts.items()],
    )


def trim_events(
    tx: db.Transaction, *, before_ms: int, evidence_before_ms: int, after_ms: int, limit: int
) -> int:
    """Delete up to `limit` events: plain ones older than `before_ms`, evidence after its own time.

    Walks on by id from where the last call stopped, up to the first row to be kept. Rows of a time after
    `after_ms` were written while the clock was wrong; they go too, or the walk would stop at them for years.
    Returns how many rows were done with.
    """
    rows = tx.read(
        "select id, at_ms, keep_reason from events where id > :done order by id limit :n",
        done=_trimmed(tx),
        n=limit,
    )
    old = list(takewhile(lambda row: not before_ms <= row["at_ms"] <= after_ms, rows))
    _delete_events(tx, [row["id"] for row in old if row["keep_reason"] is None])
    if old:
        set_watermark(tx, "trimmed_event", old[-1]["id"])
    stale = tx.read(
        "select id from events where keep_reason is not null and at_ms < :before order by at_ms limit :n",
        before=evidence_before_ms,
        n=limit,
    )
    _delete_events(tx, [row["id"] for row in stale])
    return len(old) + len(stale)


def set_watermark(tx: db.Transaction, name: str, at_ms: int) -> None:
    """Remember how far something has come."""
    tx.run(
        """insert into watermarks (name, at_ms) values (:name, :at)
           on conflict (name) do update set at_ms = :at""",
        name=name,
        at=at_ms,
    )


_INSERT_EVENT = """
    insert into events (id, at_ms, series_id, duration_us, wait_us, status, band, heavy, n_queries, query_us,
        n_cache_hits, n_cache_misses, response_bytes, correlation_id, parent_id, user_hash, role, keep_reason,
        detail)
    values (:id, :at_ms, :series_id, :duration_us, :wait_us, :status, :band, :heavy, :n_queries, :query_us,
        :n_cache_hits, :n_cache_misses, :response_bytes, :correlation_id, :parent_id, :user_hash, :role,
        :keep_reason, :detail)
"""
_INSERT_SQL = """
    insert into event_sql (event_id, sql_id, n, total_us, max_us, n_on_loop, caller)
    values (:event_id, :sql_id, :n, :total_us, :max_us, :n_on_loop, :caller)
"""


def _trimmed(tx: db.Transaction) -> int:
    return int(tx.value("select at_ms from watermarks where name = 'trimmed_event'") or 0)


def _series_id(tx: db.Transaction, series: Series, at_ms: int) -> int:
    known = _find_series(tx, series)
    if known is not None:
        return known
    if series.name not in (OTHER, TOTAL):
        n = tx.value("select count(*) from series where name not in (:o, :t)", o=OTHER, t=TOTAL)
        if n >= MAX_SERIES:
            return _series_id(tx, Series(series.service, series.kind, OTHER, "", ""), at_ms)
    tx.run(
        """insert into series (service, kind, name, method, outcome, first_at_ms)
           values (:service, :kind, :name, :method, :outcome, :at)""",
        at=at_ms,
        **series._asdict(),
    )
    made = _find_series(tx, series)
    assert made is not None
    return made


def _find_series(tx: db.Transaction, series: Series) -> int | None:
    found: int | None = tx.value(
        """select id from series where service = :service and kind = :kind and name = :name
           and method = :method and outcome = :outcome""",
        **series._asdict(),
    )
    return found


def _event_row(tx: db.Transaction, ids: SeriesIds, number: int, event: Event) -> dict[str, Any]:
    return {
        "id": number,
        "at_ms": event.at_ms,
        "series_id": ids.get(tx, event.series, event.at_ms),
        "duration_us": event.duration_us,
        "wait_us": event.wait_us,
        "status": event.status,
        "band": event.band,
        "heavy": event.heavy,
        "n_queries": event.n_queries,
        "query_us": event.query_us,
        "n_cache_hits": event.n_cache_hits,
        "n_cache_misses": event.n_cache_misses,
        "response_bytes": event.response_bytes,
        "correlation_id": event.correlation_id,
        "parent_id": event.parent_id,
        "user_hash": event.user_hash,
        "role": event.role,
        "keep_reason": event.keep_reason,
        "detail": event.detail,
    }


def _sql_rows(numbered: Iterable[tuple[int, Event]]) -> Iterator[dict[str, Any]]:
    for number, event in numbered:
        for run in event.sql:
            yield {
                "event_id": number,
                "sql_id": run.sql_id,
                "n": run.n,
                "total_us": run.total_us,
                "max_us": run.max_us,
                "n_on_loop": run.n_on_loop,
                "caller": run.caller,
            }


def _delete_events(tx: db.Transaction, ids: list[int]) -> None:
    rows = [{"id": number} for number in ids]
    if rows:
        tx.run_many("delete from event_sql where event_id = :id", rows)
        tx.run_many("delete from events where id = :id", rows)
