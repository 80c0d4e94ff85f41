"""Count and time queries in the connection itself: `sqlite3.connect(path, factory=TimedConnection)`.

A query is timed from `execute` to its last fetched row, because SQLite does most of a select's work while
rows are fetched; only a bare `next` is not timed. Inside an open unit (`collect()`) a query costs under 1 us
more; outside one, a look-up. `fetchall` and `fetchone` of the connection cost a third less.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from threading import get_ident
from time import perf_counter_ns
from typing import Any, Self, TypeVar

from engine.lib import trace
from engine.lib.storable import storable
from engine.lib.trace import (
    BLOCKING_NS,
    MAX_RUNS,
    MAX_STATEMENTS,
    REPEATED,
    SLOW_NS,
    Statement,
    Trace,
    active,
    collect,
    current,
)

__all__ = ["TimedConnection", "TimedCursor", "Trace", "collect", "current", "fingerprint", "fingerprint_id"]

trace.hide(__file__)

NOTICED_NS = BLOCKING_NS // 10
"""A fetch that took less is not looked at again: several of them hardly make a query slow."""

_execute = sqlite3.Cursor.execute
_executemany = sqlite3.Cursor.executemany
_executescript = sqlite3.Cursor.executescript
_fetchone = sqlite3.Cursor.fetchone
_fetchall = sqlite3.Cursor.fetchall
_fetchmany = sqlite3.Cursor.fetchmany
_next = sqlite3.Cursor.__next__
_cursor = sqlite3.Connection.cursor
# Called unbound: `super()` and a second Python frame cost more than the clock does.

_Fetched = TypeVar("_Fetched")


class TimedCursor(sqlite3.Cursor):
    """A cursor that reports to the trace of its context."""

    __slots__ = ("_position", "_runs")

    _runs: list[int] | None
    """Durations of the statement that runs; None outside of a unit, and for a query that is only counted."""
    _position: int

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        """Run a statement."""
        return self._timed(_execute, sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
        """Run a statement for each row of parameters; counted as one query."""
        return self._timed(_executemany, sql, parameters)

    def executescript(self, sql_script: str, /) -> Self:
        """Run several statements; counted as one query."""
        return self._timed(_executescript, sql_script)

    def fetchone(self) -> Any:
        """Return the next row, None after the last."""
        started = perf_counter_ns()
        row = _fetchone(self)
        if self._runs is not None:
            more_ns = perf_counter_ns() - started
            self._runs[self._position] += more_ns
            if more_ns >= NOTICED_NS:
                self._notice(more_ns)
        return row

    def fetchall(self) -> list[Any]:
        """Return the remaining rows."""
        started = perf_counter_ns()
        rows = _fetchall(self)
        if self._runs is not None:
            more_ns = perf_counter_ns() - started
            self._runs[self._position] += more_ns
            if more_ns >= NOTICED_NS:
                self._notice(more_ns)
        return rows

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next rows, `arraysize` of them unless said otherwise."""
        size = self.arraysize if size is None else size
        started = perf_counter_ns()
        rows = _fetchmany(self, size)
        if self._runs is not None:
            more_ns = perf_counter_ns() - started
            self._runs[self._position] += more_ns
            if more_ns >= NOTICED_NS:
                self._notice(more_ns)
        return rows

    def __iter__(self) -> Any:
        """Go through the remaining rows; what the caller does between two of them is not counted."""
        return self if self._runs is None else self._rows(self._runs, self._position)

    def _rows(self, runs: list[int], position: int) -> Iterator[Any]:
        clock, fetch, took_ns = perf_counter_ns, _next, 0
        try:
            while True:
                started = clock()
                try:
                    row = fetch(self)
                finally:
                    took_ns += clock() - started
                yield row
        except StopIteration:
            return
        finally:
            runs[position] += took_ns
            if took_ns >= NOTICED_NS and runs is self._runs:
                self._notice(took_ns)

    def _notice(self, more_ns: int) -> None:
        """Look again at a query that has become slow while its rows were fetched."""
        unit, runs = active.get(), self._runs
        if unit is None or runs is None:
            return
        statement = next((s for s in tuple(unit.statements.values()) if s.durations_ns is runs), None)
        if statement is None:  # fetched in another unit than it was run in
            return
        now = runs[self._position]
        if now - more_ns < BLOCKING_NS <= now and get_ident() == unit.loop_thread:
            statement.n_on_loop += 1
        if now >= SLOW_NS and not statement.caller:
            statement.caller = trace.calling_line()

    def _timed(self, run: Callable[..., Any], sql: str, *parameters: Any) -> Self:
        self._runs = None
        unit = active.get()
        if unit is None:
            run(self, sql, *parameters)
            return self
        started = perf_counter_ns()
        try:
            run(self, sql, *parameters)
        finally:
            _keep(unit, sql, perf_counter_ns() - started, self)
        return self


def _at_once(fetch: Callable[[sqlite3.Cursor], _Fetched]) -> Callable[..., _Fetched]:
    """Make a verb of a connection that runs a statement and fetches, both timed in one go."""

    def run(self: sqlite3.Connection, sql: str, parameters: Any = (), /) -> _Fetched:
        unit = active.get()
        cursor = _cursor(self)
        if unit is None:
            return fetch(_execute(cursor, sql, parameters))
        started = perf_counter_ns()
        try:
            return fetch(_execute(cursor, sql, parameters))
        finally:
            _keep(unit, sql, perf_counter_ns() - started)

    return run


class TimedConnection(sqlite3.Connection):
    """A connection whose queries are counted and timed."""

    def __del__(self) -> None:
        """Close with the thread it belonged to; Python 3.13 warns of a connection that nobody closed."""
        with suppress(sqlite3.Error):  # one that was never opened
            self.close()

    def cursor(self, factory: Any = TimedCursor) -> Any:
        """Return a timed cursor."""
        made = _cursor(self, factory)
        if isinstance(made, TimedCursor):
            made._runs = None
        return made

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement on a new cursor."""
        unit = active.get()
        if unit is None:
            return super().execute(sql, parameters)
        cursor: TimedCursor = _cursor(self, TimedCursor)
        started = perf_counter_ns()
        try:
            return _execute(cursor, sql, parameters)
        finally:
            _keep(unit, sql, perf_counter_ns() - started, cursor)

    fetchall = _at_once(_fetchall)
    """Run a statement and return its rows: cheaper than `execute` and `fetchall`."""

    fetchone = _at_once(_fetchone)
    """Run a statement and return its first row, None if there is none."""

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Run a statement for each row of parameters on a new cursor; counted as one query."""
        return _cursor(self, TimedCursor).executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        """Run several statements on a new cursor; counted as one query."""
        return _cursor(self, TimedCursor).executescript(sql_script)


def _keep(unit: Trace, sql: str, duration_ns: int, cursor: TimedCursor | None = None) -> None:
    """Count a run; a cursor whose rows are still to be fetched is told where to add their time."""
    statement = unit.statements.get(sql)
    if statement is None:
        if len(unit.statements) >= MAX_STATEMENTS:
            return _only_count(cursor, unit, duration_ns)
        statement = unit.statements[sql] = Statement()
        if not len(unit.statements) % REPEATED:  # a loop whose SQL holds literals makes new texts only
            statement.caller = trace.calling_line()
    runs = statement.durations_ns
    n = len(runs)
    if n >= MAX_RUNS:
        return _only_count(cursor, unit, duration_ns)
    runs.append(duration_ns)
    if cursor is not None:
        cursor._runs, cursor._position = runs, n
    if n + 1 == REPEATED or duration_ns >= SLOW_NS:
        statement.caller = trace.calling_line()
    if duration_ns >= BLOCKING_NS and get_ident() == unit.loop_thread:
        statement.n_on_loop += 1
    return None


def _only_count(cursor: TimedCursor | None, unit: Trace, duration_ns: int) -> None:
    if cursor is not None:
        cursor._runs = None
    unit.dropped_runs += 1
    unit.dropped_us += duration_ns // 1000


_TOKENS = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
      | (?P<name>"(?:[^"]|"")*"|`[^`]*`)
      | '(?:[^']|'')*(?:'|\Z) | "[^"]*\Z   # text, also one that does not end
      | \b0x[0-9a-f]+\b                # blob or hexadecimal
      | (?<![\w$:@?])-?\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?\b   # number, not part of a name or parameter
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_LISTS = re.compile(r"\(\s*(?:\?|:\w+|\$\w+)(?:\s*,\s*(?:\?|:\w+|\$\w+))+\s*\)")
_ROWS = re.compile(r"(\(\?\+?\))(?:\s*,\s*\1)+")
_MAX_CHARS = 2_000


@lru_cache(maxsize=2_000)
def fingerprint(sql: str) -> str:
    """Return the statement with literals replaced by `?`, lists by `(?+)`, and white space folded.

    What stands in double quotes is a name, as in standard SQL; rows of values count as one.
    """
    text = _TOKENS.sub(_replacement, storable(sql[: _MAX_CHARS * 4]))
    text = " ".join(text.split())
    return _ROWS.sub(r"\1", _LISTS.sub("(?+)", text))[:_MAX_CHARS]


def _replacement(token: re.Match[str]) -> str:
    return " " if token["comment"] else token["name"] or "?"


@lru_cache(maxsize=2_000)
def fingerprint_id(sql: str) -> str:
    """Return 16 hexadecimal characters that name the fingerprint of a statement."""
    return blake2b(fingerprint(sql).encode(), digest_size=8).hexdigest()
