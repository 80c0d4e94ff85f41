"""The recorder of one process: takes ended units, and writes them from a thread of its own.

A flush is one transaction: raw events, minute rollups, findings and the recorder's own account. A kill loses
what was not flushed, at most a second's worth; how much that was is told by the ledger.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import lru_cache
from secrets import randbits
from threading import Lock, Thread, get_ident

from engine import clock, log, settings
from engine.errors import Unavailable
from engine.records import db, findings, metrics, recorders, rollups
from engine.services.monitor.buffer import MAX_UNITS, Buffer, Ledger
from engine.services.monitor.fold import EVIDENCE_ONLY, FULL, ROLLUPS_ONLY, Batch, Folder, hash_user
from engine.services.monitor.unit import Unit

FLUSH_S = 1.0
MAX_BATCH = 2_000
QUERY_NS = 600
"""What timing one query costs its caller (bench/query.py)."""
JUDGE_S = 10.0
CALM_JUDGEMENTS = 6
"""So many judgements in a row below a third of the budget before detail steps up again."""
TARGETS_S = 30.0
HOLD_S = 1.0
"""Longest wait of a fork for the writer; it may itself wait for a locked database."""
STOP_S = 8.0
"""Longest wait at the end of a process; container tools kill after 10 s."""
SLOW_LINES = 20
COMPLAIN_S = 60.0
MAX_TEXTS = 10_000
"""Statements whose text is known to be stored; beyond it they are offered anew."""

_log = log.get(__name__)


class Recorder:
    """Queue, ledger and writer thread of this process. Made without I/O: the thread opens the database."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.level = FULL
        self.n_stored = self._n_gone = 0
        self._buffer = Buffer()
        self._lock = Lock()
        self._held_by = 0
        self._pending: Batch | None = None
        self._stopping = self._abandoned = False
        self._database: db.Database | None = None
        self._ids = metrics.SeriesIds()
        self._texts: set[str] = set()
        self._complained_at = -COMPLAIN_S
        self._ledger: Ledger | None = None
        self._account = _Account()
        self._thread = Thread(target=self._run, name="monitor-writer", daemon=True)
        self._thread.start()

    @property
    def n_dropped(self) -> int:
        """Units this process dropped because the writer was too far behind."""
        return self._buffer.n_dropped

    def put(self, unit: Unit) -> None:
        """Take a unit that ended; never waits."""
        ledger = self._ledger
        if ledger is not None:
            ledger.add()
        self._buffer.put(unit)

    def flush(self) -> None:
        """Write all that has been recorded so far."""
        with self._lock:
            while self._pending is not None or len(self._buffer):
                self._write_one()

    def stop(self) -> None:
        """Let the writer write the rest and close the account of this process.

        Waits no longer than `STOP_S`: a database that somebody holds keeps nobody from ending. What was not
        written then is told by the ledger.
        """
        self._halt()
        if self._thread.is_alive():
            _log.warning("monitor_stopped_unflushed", error="time is up", n=self._n_waiting())

    def abandon(self) -> None:
        """Stop without writing (tests)."""
        self._abandoned = True
        self._halt()
        self.let_go()

    def hold(self) -> None:
        """Let the writer come to a rest before a fork: SQLite's own locks would stay taken in the child."""
        if self._lock.acquire(timeout=HOLD_S):
            self._held_by = get_ident()

    def release(self) -> None:
        """End what `hold` began."""
        if self._held_by == get_ident():
            self._held_by = 0
            self._lock.release()

    def let_go(self) -> None:
        """Close what a forked child inherited; its locks may be held by threads that it does not have."""
        if self._ledger is not None:
            self._ledger.close(remove=False)

    def _halt(self) -> None:
        self._stopping = True
        self._buffer.filled.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        step: Callable[[], None] = self._begin
        while not self._stopping:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the recorder must never take the work down
                if _may_pass(error):  # kept in `_pending`, tried again; the queue is bounded meanwhile
                    self._complain(error)
                else:
                    self._give_up()
            step = self._go_on
            self._buffer.filled.wait(FLUSH_S)
            self._buffer.filled.clear()
        if not self._abandoned:
            self._end()

    def _begin(self) -> None:
        """Enter this process at once, so that even a death in its first second is noticed."""
        with self._lock:
            self._metrics()

    def _go_on(self) -> None:
        self.flush()
        self._judge()

    def _end(self) -> None:
        try:
            self.flush()
            ledger = self._ledger
            if ledger is not None:
                with self._metrics().write() as tx:
                    recorders.end(tx, ledger.id, at_ms=clock.now_ms())
                self._ledger = None
                ledger.close(remove=True)
        except Exception as error:  # noqa: BLE001 - the process ends anyway; the ledger tells what is missing
            _log.warning("monitor_stopped_unflushed", error=str(error), n=self._n_waiting())

    def _n_waiting(self) -> int:
        pending = self._pending
        return len(self._buffer) + (pending.n_units if pending else 0)

    def _complain(self, error: Exception) -> None:
        """Log what keeps the recorder from writing, once a minute: it may last for days."""
        if clock.elapsed() - self._complained_at >= COMPLAIN_S:
            self._complained_at = clock.elapsed()
            _log.warning(
                "monitor_flush_failed", error=str(error), waiting=self._n_waiting(), dropped=self.n_dropped
            )

    def _give_up(self) -> None:
        lost = self._pending.n_units if self._pending else 0
        self._pending = None
        self._ids.forget()
        self._buffer.drop(lost)
        _log.exception("monitor_flush_dropped", n=lost)

    def _write_one(self) -> None:
        database = self._metrics()
        self._account.begin()
        if self._pending is None:
            if len(self._buffer) > MAX_UNITS // 2 and self.level > ROLLUPS_ONLY:
                _log.warning("monitor_detail_reduced", detail=ROLLUPS_ONLY, waiting=len(self._buffer))
                self.level = ROLLUPS_ONLY  # rather than drop: everything stays in the rollups
            units = self._buffer.take(MAX_BATCH)
            self._pending = Batch(n_units=len(units))  # what is lost if folding raises
            self._pending = self._folder.fold(units, self.level)
            self._buffer.drop(self._pending.n_refused)
        batch = self._pending
        cost = self._account.close(batch, self._buffer.n_dropped)
        try:
            with database.write() as tx:
                self._store(tx, batch)
                self._report(tx, batch, cost)
            database.require()  # deleted meanwhile: the batch is written anew, to the file in its place
        except BaseException:
            self._ids.forget()
            self._account.reopen(cost)
            raise
        self._account.end()
        self.n_stored += batch.n_units
        self._pending = None
        self._texts = self._texts | set(batch.sql_texts) if len(self._texts) < MAX_TEXTS else set()
        for event in batch.slow[:SLOW_LINES]:
            _log_slow(event)

    def _store(self, tx: db.Transaction, batch: Batch) -> None:
        metrics.add_events(tx, self._ids, batch.events)
        rollups.add_minutes(tx, self._ids, batch.minutes)
        metrics.add_sql_texts(tx, {k: v for k, v in batch.sql_texts.items() if k not in self._texts})
        for sighting in batch.sightings.values():
            findings.see(tx, sighting)

    def _report(self, tx: db.Transaction, batch: Batch, cost: "Cost") -> None:
        assert self._ledger is not None
        now_ms = clock.now_ms()
        recorders.report(
            tx,
            self._ledger.id,
            at_ms=now_ms,
            n_stored=self.n_stored + batch.n_units,
            n_dropped=self.n_dropped,
            level=self.level,
        )
        recorders.add_cost(
            tx,
            self._ledger.id,
            minute_ms=rollups.floor(now_ms, rollups.MINUTE_MS),
            n=batch.n_units,
            n_dropped=cost.n_dropped,
            path_us=cost.path_ns // 1000,
            writer_us=cost.writer_ns // 1000,
            process_us=cost.process_ns // 1000,
            level=self.level,
        )

    def _metrics(self) -> db.Database:
        """Return the database; a new one (tests, another data folder) is entered first."""
        if db.metrics() is not self._database:
            self._adopt()
        assert self._database is not None
        return self._database

    def _adopt(self) -> None:
        database, before = db.metrics(), self._database
        self._open_ledger()
        assert self._ledger is not None
        with database.write() as tx:
            recorders.register(tx, self._ledger.id, self.service, clock.now_ms())
            salt = recorders.salt(tx, randbits(62))
        self._ids = metrics.SeriesIds()
        self._texts = set()
        self._folder = Folder(
            slow_us=settings.get().slow_request_ms * 1000,
            target_ms=Targets(database),
            user_hash=lru_cache(maxsize=4_000)(lambda name: hash_user(name, salt)),
        )
        if before is not None and before.path == database.path:
            _log.warning(
                "monitor_units_lost", error="metrics.db is another file", n=self.n_stored - self._n_gone
            )
            self._n_gone = self.n_stored
        self._database = database

    def _open_ledger(self) -> None:
        """Begin to count in the data folder, before its database can be written: it may stay locked."""
        previous, data_dir = self._ledger, settings.get().data_dir
        if previous is None or previous.data_dir != data_dir:
            ledger = Ledger(data_dir)
            ledger.go_on_from(len(self._buffer) + self.n_dropped)
            self._ledger = ledger
            if previous is not None:
                previous.close(remove=True)

    def _judge(self) -> None:
        share = self._account.share_if_due()
        if share is not None:
            self.level = self._account.next_level(self.level, share, settings.get().monitor_cpu_percent)


def _may_pass(error: Exception) -> bool:
    """Tell whether waiting may help: a file that is locked, full, away or damaged, not a row it refuses."""
    return isinstance(error, db.LockedOrFull | OSError | Unavailable) or type(error) is db.Damaged


class Cost:
    """What recording cost between two flushes, in nanoseconds."""

    __slots__ = ("n_dropped", "path_ns", "process_ns", "writer_ns")

    def __init__(self, path_ns: int, writer_ns: int, process_ns: int, n_dropped: int) -> None:
        self.path_ns = path_ns
        self.writer_ns = writer_ns
        self.process_ns = process_ns
        self.n_dropped = n_dropped


class _Account:
    """Measures what recording costs this process, and decides on the level of detail."""

    def __init__(self) -> None:
        self._began_ns = 0
        self._carried_ns = 0
        self._process_ns = time.process_time_ns()
        self._dropped = 0
        self._spent_ns = 0
        self._since = clock.elapsed()
        self._calm = 0

    def begin(self) -> None:
        """Start to measure a flush in the thread that does it."""
        self._began_ns = time.thread_time_ns()

    def end(self) -> None:
        """Keep what the flush cost after `close`, for the next one to write."""
        self._carried_ns = time.thread_time_ns() - self._began_ns

    def close(self, batch: Batch, n_dropped: int) -> Cost:
        """Return the cost since the last call, that of the units in a batch included."""
        thread_ns, process_ns = time.thread_time_ns(), time.process_time_ns()
        cost = Cost(
            batch.path_ns + batch.n_queries * QUERY_NS,
            self._carried_ns + thread_ns - self._began_ns,
            process_ns - self._process_ns,
            n_dropped - self._dropped,
        )
        self._began_ns, self._process_ns, self._dropped = thread_ns, process_ns, n_dropped
        self._spent_ns += cost.path_ns + cost.writer_ns
        return cost

    def reopen(self, cost: Cost) -> None:
        """Take back a cost that could not be written."""
        self._carried_ns = cost.writer_ns
        self._process_ns -= cost.process_ns
        self._dropped -= cost.n_dropped
        self._spent_ns -= cost.path_ns + cost.writer_ns

    def share_if_due(self) -> float | None:
        """Return recording's share of one core in percent, once every `JUDGE_S`."""
        passed_s = clock.elapsed() - self._since
        if passed_s < JUDGE_S:
            return None
        share = 100 * self._spent_ns / (passed_s * 1e9)
        self._since, self._spent_ns = clock.elapsed(), 0
        return share

    def next_level(self, level: int, share: float, budget: float) -> int:
        """Return one level less when over budget, one more after a calm minute."""
        self._calm = self._calm + 1 if share < budget / 3 else 0
        if share > budget and level > ROLLUPS_ONLY:
            _log.warning(
                "monitor_detail_reduced", detail=level - 1, share_percent=round(share, 2), budget=budget
            )
            return level - 1
        if self._calm >= CALM_JUDGEMENTS and level < FULL:
            self._calm = 0
            _log.info("monitor_detail_restored", detail=level + 1, share_percent=round(share, 2))
            return level + 1
        return level


class Targets:
    """The Apdex target of a route, by the most specific pattern; patterns are read anew every half minute."""

    def __init__(self, database: db.Database) -> None:
        self._database = database
        self._default_ms = settings.get().apdex_t_ms
        self._read_at = -TARGETS_S * 2
        self._patterns: list[tuple[str, int]] = []
        self._known: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        if clock.elapsed() - self._read_at > TARGETS_S:
            with suppress(db.Damaged):  # the patterns read last hold on
                self._patterns, self._known = recorders.targets(self._database), {}
            self._read_at = clock.elapsed()
        known = self._known.get(name)
        if known is None:
            matching = (target for pattern, target in self._patterns if fnmatchcase(name, pattern))
            known = next(matching, self._default_ms)
            if len(self._known) < 2 * metrics.MAX_SERIES:
                self._known[name] = known
        return known


def _log_slow(event: metrics.Event) -> None:
    _log.warning(
        "slow_request",
        kind=event.series.kind,
        service_recorded=event.series.service,
        name=event.series.name,
        method=event.series.method,
        outcome=event.series.outcome,
        status=event.status,
        wait_ms=event.wait_us // 1000,
        duration_ms=event.duration_us // 1000,
        n_queries=event.n_queries,
        query_ms=event.query_us // 1000,
        response_bytes=event.response_bytes,
        cache_hits=event.n_cache_hits,
        cache_misses=event.n_cache_misses,
        user_hash=event.user_hash,
        role=event.role,
        correlation_id=event.correlation_id,
        detail=event.detail,
        worst_query=event.sql[0].sql_id if event.sql else None,
    )


__all__ = ["EVIDENCE_ONLY", "Recorder", "Targets"]
