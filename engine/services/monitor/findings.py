"""What is wrong with one unit: the heavy operations in it."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.lib.sqltrace import fingerprint, fingerprint_id
from engine.lib.storable import storable
from engine.lib.trace import Operation, Statement, Trace
from engine.records.findings import Sighting
from engine.services.monitor.unit import BANDED, HTTP, Heavy, Unit

REPEATED = 5
"""Runs of one statement in one unit (Scout's agent uses the same for N+1)."""
MANY_QUERIES = 20
DATABASE_SHARE = 0.7
DATABASE_SHARE_FROM_US = 50_000
"""Below this duration a high share of database time is no trouble: there is nothing else to do."""
SLOW_CALL_US = 100_000
"""A shorter call inside a request is how work is handed over."""
LARGE_BYTES = 1_000_000
MAX_KEYS, MAX_RUNS = 1_000, 20
"""Cache entries, and computations of each, that are remembered from flush to flush."""
MAX_SUBJECT = 200
STAMPEDE = 3
"""Units that compute the same cache entry at the same time."""


@dataclass(slots=True)
class Facts:
    """What a unit's trace adds up to."""

    n_queries: int = 0
    query_us: int = 0


_READS = ("select", "with")
"""Only reads can be N+1; several writes or transactions in one unit have their reasons."""

TYPES: dict[str, Heavy] = {
    "repeated_query": Heavy.REPEATED_QUERY,
    "many_queries": Heavy.MANY_QUERIES,
    "database_share": Heavy.DATABASE_SHARE,
    "render_in_request": Heavy.RENDER,
    "call_in_request": Heavy.CALL,
    "blocking_query": Heavy.BLOCKING_QUERY,
    "large_response": Heavy.LARGE_RESPONSE,
    "cache_stampede": Heavy.STAMPEDE,
}


def detect(unit: Unit, facts: Facts) -> Iterator[Sighting]:
    """Yield the findings of one unit."""
    trace = unit.trace
    if trace is not None and trace.statements:
        yield from _in_queries(unit, facts, trace)
    if trace is not None and unit.kind == HTTP:
        yield from _in_operations(unit, trace)
    if unit.response_bytes > LARGE_BYTES and unit.kind == HTTP:
        yield _sighting(unit, "large_response", "", unit.duration_us, f"{unit.response_bytes} bytes")


def _in_queries(unit: Unit, facts: Facts, trace: Trace) -> Iterator[Sighting]:
    for id_, (text, runs) in _by_fingerprint(trace).items():
        n = sum(len(statement.durations_ns) for statement in runs)
        cost_us = sum(sum(statement.durations_ns) for statement in runs) // 1000
        caller = next((statement.caller for statement in runs if statement.caller), "")
        where = f" at {caller}" if caller else ""
        if n >= REPEATED and text.lstrip("( ").lower().startswith(_READS):
            yield _sighting(unit, "repeated_query", id_, cost_us, f"{n} times{where}: {text}")
        n_on_loop = sum(statement.n_on_loop for statement in runs)
        if n_on_loop and unit.kind == HTTP:
            example = f"{n_on_loop} on the event loop{where}: {text}"
            yield _sighting(unit, "blocking_query", id_, cost_us, example)
    if facts.n_queries > MANY_QUERIES and unit.kind in BANDED:
        yield _sighting(unit, "many_queries", "", facts.query_us, f"{facts.n_queries} queries")
    whole_us = unit.duration_us
    if whole_us >= DATABASE_SHARE_FROM_US and facts.query_us > DATABASE_SHARE * whole_us:
        share = 100 * facts.query_us / whole_us
        yield _sighting(unit, "database_share", "", facts.query_us, f"{share:.0f} % of {whole_us} us")


def _by_fingerprint(trace: Trace) -> dict[str, tuple[str, list[Statement]]]:
    """Return the text of each fingerprint and its statements: SQL with literals in it has many."""
    found: dict[str, tuple[str, list[Statement]]] = {}
    for sql, statement in tuple(trace.statements.items()):
        found.setdefault(fingerprint_id(sql), (fingerprint(sql), []))[1].append(statement)
    return found


def _in_operations(unit: Unit, trace: Trace) -> Iterator[Sighting]:
    for operation in trace.operations:
        slow_call = operation.kind == "call" and operation.duration_us >= SLOW_CALL_US
        if slow_call or operation.kind == "render":
            example = f"{operation.name} took {operation.duration_us // 1000} ms inside the request"
            type_ = f"{operation.kind}_in_request"
            yield _sighting(unit, type_, operation.name, operation.duration_us, example)


def operations_of(unit: Unit) -> list[Operation]:
    """Return the operations of a unit, those after its last byte included."""
    return [operation for trace in (unit.trace, unit.after) if trace for operation in trace.operations]


@dataclass(slots=True)
class Stampede:
    """Several computed one cache entry at once."""

    key: str
    n: int
    cost_us: int
    units: list[Unit]
    """Those of the last flush; the others have been written."""

    def sighting(self) -> Sighting:
        """Return it as a finding of the first unit."""
        example = f"{self.n} at once computed {self.key}"
        return _sighting(self.units[0], "cache_stampede", self.key, self.cost_us, example)


class Computations:
    """Who computed which cache entry lately: those that began together may end in different flushes."""

    def __init__(self) -> None:
        self._recent: dict[str, list[Operation]] = {}

    def stampedes(self, units: list[Unit]) -> list[Stampede]:
        """Add the units of a flush and return the stampedes that they complete; each is returned once."""
        by_key: dict[str, list[tuple[Unit, Operation]]] = {}
        for unit in units:
            for operation in operations_of(unit):
                if operation.kind == "compute":
                    by_key.setdefault(operation.name, []).append((unit, operation))
        found = []
        for key, runs in by_key.items():
            together = [*self._recent.pop(key, ()), *(operation for _, operation in runs)]
            n = _most_at_once(together)
            if n >= STAMPEDE:
                cost_us = sum(operation.duration_us for operation in together)
                found.append(Stampede(key, n, cost_us, [unit for unit, _ in runs]))
            elif len(self._recent) < MAX_KEYS:
                self._recent[key] = together[-MAX_RUNS:]
            else:
                self._recent.clear()
        return found


def _most_at_once(operations: list[Operation]) -> int:
    edges = [(o.started_ns, 1) for o in operations]
    edges += [(o.started_ns + o.duration_us * 1000, -1) for o in operations]
    most = running = 0
    for _, change in sorted(edges):
        running += change
        most = max(most, running)
    return most


def _sighting(unit: Unit, type_: str, subject: str, cost_us: int, example: str) -> Sighting:
    return Sighting(
        type=type_,
        service=unit.service,
        kind=unit.kind,
        name=storable(unit.name),
        subject=storable(subject)[:MAX_SUBJECT],
        at_ms=unit.at_ms,
        cost_us=cost_us,
        example=storable(example)[:500],
        correlation_id=unit.correlation_id,
    )
