"""What one unit of work did: its queries, its heavy operations, its cache lookups.

A unit (a request, a page run, a task attempt) opens a `Trace` with `collect()`; whatever runs inside it, on
this thread or on one that was given a copy of the context, adds to it. Outside a unit nothing is kept.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter_ns
from types import FrameType

MAX_STATEMENTS = 200
"""Different statements kept apart in one trace; further ones are only counted."""
MAX_RUNS = 1_000
"""Durations kept per statement; further runs are only counted."""
REPEATED = 5
"""From this many runs of one statement the calling line is kept (the N+1 threshold of Scout's agent)."""
SLOW_NS = 20_000_000
"""From this duration the calling line is kept (pghero's default for a slow query)."""

BLOCKING_NS = 1_000_000
"""From this duration a query on an event loop counts as blocking; a shorter one costs less than a thread."""


class Statement:
    """The runs of one SQL text within a unit."""

    __slots__ = ("caller", "durations_ns", "n_on_loop")

    def __init__(self) -> None:
        self.durations_ns: list[int] = []
        self.caller = ""
        self.n_on_loop = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One heavy operation that ended: `kind` is `call`, `render` or another short word."""

    kind: str
    name: str
    duration_us: int
    failed: bool
    detail: str
    started_ns: int
    """`perf_counter_ns` at its start."""


class Trace:
    """The record of one unit."""

    __slots__ = (
        "cache_hits",
        "cache_misses",
        "dropped_runs",
        "dropped_us",
        "loop_thread",
        "operations",
        "started_ns",
        "statements",
    )

    def __init__(self, loop_thread: int = 0) -> None:
        self.statements: dict[str, Statement] = {}
        self.operations: list[Operation] = []
        self.cache_hits = 0
        self.cache_misses = 0
        self.dropped_runs = 0
        self.dropped_us = 0
        self.loop_thread = loop_thread
        """Identity of the thread whose event loop a query would block; 0 where there is none."""
        self.started_ns = perf_counter_ns()

    @property
    def n_queries(self) -> int:
        """Queries run, those beyond the bounds included."""
        return sum(len(s.durations_ns) for s in tuple(self.statements.values())) + self.dropped_runs

    @property
    def query_us(self) -> int:
        """Microseconds spent in queries."""
        total_ns = sum(sum(s.durations_ns) for s in tuple(self.statements.values()))
        return total_ns // 1000 + self.dropped_us

    def detach(self) -> "Trace | None":
        """Return what was noted so far as a record of its own, None for nothing, and go on empty.

        A task that outlives its unit holds on to this one; it cannot change what has been handed over.
        """
        if not (self.statements or self.operations or self.cache_hits or self.cache_misses):
            return None
        noted = Trace(self.loop_thread)
        noted.started_ns = self.started_ns
        noted.statements, self.statements = self.statements, {}
        noted.operations, self.operations = self.operations, []
        noted.cache_hits, noted.cache_misses = self.cache_hits, self.cache_misses
        noted.dropped_runs, noted.dropped_us = self.dropped_runs, self.dropped_us
        self.cache_hits = self.cache_misses = self.dropped_runs = self.dropped_us = 0
        return noted

    def absorb(self, inner: "Trace") -> None:
        """Add what an inner unit did: a page run includes its fragments' work."""
        for sql, statement in inner.statements.items():
            mine = self.statements.setdefault(sql, Statement())
            mine.durations_ns += statement.durations_ns
            mine.caller = mine.caller or statement.caller
            mine.n_on_loop += statement.n_on_loop
        self.operations += inner.operations
        self.cache_hits += inner.cache_hits
        self.cache_misses += inner.cache_misses
        self.dropped_runs += inner.dropped_runs
        self.dropped_us += inner.dropped_us


active: ContextVar[Trace | None] = ContextVar("offload_trace", default=None)
"""The open trace of this context. Read it through `current()`; hot paths read it directly."""

on_operation: list[Callable[[Operation], None]] = []
"""Called with every operation that ends, inside a unit or not: a call is also a unit of its own."""


def current() -> Trace | None:
    """Return the trace of this context, if a unit is open."""
    return active.get()


@contextmanager
def collect(*, loop_thread: int = 0) -> Iterator[Trace]:
    """Open a unit; when it closes, what it did is added to the unit around it, if there is one."""
    outer = active.get()
    trace = Trace(loop_thread)
    token = active.set(trace)
    try:
        yield trace
    finally:
        active.reset(token)
        if outer is not None:
            outer.absorb(trace)


class Span:
    """A running operation; its user may set what is known only at the end."""

    __slots__ = ("detail", "failed")

    def __init__(self) -> None:
        self.detail = ""
        self.failed = False


@contextmanager
def operation(kind: str, name: str) -> Iterator[Span]:
    """Time a heavy operation, and add it to the open unit; an exception marks it failed and goes on."""
    span = Span()
    started_ns = perf_counter_ns()
    try:
        yield span
    except BaseException as error:
        span.failed = True
        span.detail = span.detail or type(error).__name__
        raise
    finally:
        duration_us = (perf_counter_ns() - started_ns) // 1000
        ended = Operation(kind, name, duration_us, span.failed, span.detail, started_ns)
        trace = active.get()
        if trace is not None and len(trace.operations) < MAX_STATEMENTS:
            trace.operations.append(ended)
        for listener in on_operation:
            listener(ended)


def cache_lookup(hit: bool) -> None:
    """Count a cache lookup in the open unit."""
    trace = active.get()
    if trace is not None:
        if hit:
            trace.cache_hits += 1
        else:
            trace.cache_misses += 1


_hidden: set[str] = {__file__}


def hide(file: str) -> None:
    """Leave a module out of calling lines: a door that every query passes says nothing about who asked."""
    _hidden.add(file)


_LIBRARIES = re.compile(
    r"-packages/(aiosqlite|alembic|databases|django/db|pandas|peewee|playhouse|pony|sqlalchemy|sqlite_utils"
    r"|sqlmodel|tortoise)[/.]|/contextlib\.py$"
)
"""Files that ask on behalf of somebody: object-relational mappers, and what `with` runs through."""


def calling_line(depth: int = 2) -> str:
    """Return `path:line function` of the nearest frame outside hidden modules and database libraries.

    Where there is none (a mapper on a thread or greenlet of its own), it is the nearest library's.
    """
    frame: FrameType | None = sys._getframe(depth)
    library = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if file not in _hidden:
            if not _LIBRARIES.search(file):
                return _line(frame)
            library = library or _line(frame)
        frame = frame.f_back
    return library


def _line(frame: FrameType) -> str:
    short = "/".join(frame.f_code.co_filename.rsplit("/", 3)[1:])
    return f"{short}:{frame.f_lineno} {frame.f_code.co_name}"
