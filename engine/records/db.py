"""The only door to the databases: three SQLite files, opened safely by any number of threads and processes.

Reads run on a connection of their own thread, each statement on its own snapshot (WAL). Writes go through
`Database.write()`, which begins IMMEDIATE, so that a transaction that read first never fails half-way with
"database is locked". The threads of one process share one writing connection behind a lock: SQLite's busy
handler sleeps between tries, and a connection drops its page cache whenever another one has written.
What a block has written is read through its transaction; others see it once it is committed.
"""

import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import sqlite_utils

from engine import log, settings
from engine.errors import Unavailable
from engine.lib import trace
from engine.lib.keyfile import KEY_FILE, make_key
from engine.lib.sqltrace import TimedConnection
from engine.records import schema

Row = sqlite3.Row
LockedOrFull = sqlite3.OperationalError
"""Raised while another program holds the database or the disk is full: the write may be tried again."""
Damaged = sqlite3.DatabaseError
"""Raised for a file that is no database, or a broken one (and the parent of the other two)."""
Duplicate = sqlite3.IntegrityError
"""Raised when a unique index refuses a row."""

_log = log.get(__name__)

trace.hide(__file__)

_CACHE_KIB = 8_000
_STATEMENTS = 256
_IDLE_CONNECTIONS = 16
_CHECKPOINT_PAGES = 4_000
"""A checkpoint syncs both files: four times SQLite's own interval saves most of them for 16 MB of log."""

_REPLACEABLE = ("metrics.db", "cache.db")
_open_ones: "dict[str, Database]" = {}
"""The databases of this process, by the name of their file."""


class Gone(Unavailable, LockedOrFull):
    """A database file was deleted or replaced while it was open: what is written now, nobody would find."""

    code = "database_gone"


class Reader(Protocol):
    """Whatever can be read from: a database, one snapshot of it, or an open transaction.

    Parameters are named (`:name`) and given by keyword.
    """

    def read(self, sql: str, /, **params: Any) -> list[Row]: ...
    def one(self, sql: str, /, **params: Any) -> Row | None: ...
    def value(self, sql: str, /, **params: Any) -> Any: ...


class Snapshot:
    """Reading verbs over one connection."""

    def __init__(self, connection: TimedConnection) -> None:
        self._connection = connection

    def read(self, sql: str, /, **params: Any) -> list[Row]:
        """Return all rows."""
        return self._connection.fetchall(sql, params)

    def one(self, sql: str, /, **params: Any) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = self._connection.fetchone(sql, params)
        return row

    def value(self, sql: str, /, **params: Any) -> Any:
        """Return the first column of the first row, or None."""
        row = self._connection.fetchone(sql, params)
        return row[0] if row else None


class Transaction(Snapshot):
    """An open write transaction; everything in it happens together or not at all."""

    def run(self, sql: str, /, **params: Any) -> int:
        """Change rows and return how many were changed."""
        return self._connection.execute(sql, params).rowcount

    def run_many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Run one statement for each mapping of parameters; return how many rows were changed."""
        return self._connection.executemany(sql, rows).rowcount

    @contextmanager
    def part(self) -> Iterator[None]:
        """Let a block fail alone: what it wrote is undone, the rest of the transaction stays."""
        self._connection.execute("savepoint part")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have ended all of it
                self._connection.execute("rollback to part")
                self._connection.execute("release part")
            raise
        self._connection.execute("release part")


class _Lent:
    """A connection lent to one thread; it goes back to the idle ones when the thread has ended.

    Each run of a page has a thread of its own: to open a connection for it would cost 1.6 ms a run.
    """

    def __init__(self, connection: TimedConnection, idle: deque[TimedConnection]) -> None:
        self.connection = connection
        self._idle = idle
        self._closed = False
        self._most = _IDLE_CONNECTIONS  # globals are gone when the last ones go, at the interpreter's end

    def close(self) -> None:
        self._closed = True
        self.connection.close()

    def __del__(self) -> None:
        if self._closed:
            return
        if self.connection.in_transaction or len(self._idle) >= self._most:
            self.connection.close()
        else:
            self._idle.append(self.connection)


class Database:
    """One database file."""

    def __init__(self, path: Path, *, synchronous: str) -> None:
        self.path = path
        self._synchronous = synchronous
        self._local = threading.local()
        self._idle: deque[TimedConnection] = deque()
        self._write_lock = threading.Lock()
        self._writing_thread: int | None = None
        self._writer: TimedConnection | None = None
        self._pid = os.getpid()
        self._file = _file(path)

    def read(self, sql: str, /, **params: Any) -> list[Row]:
        """Return all rows."""
        return self._connect().fetchall(sql, params)

    def one(self, sql: str, /, **params: Any) -> Row | None:
        """Return the first row, or None."""
        return Snapshot(self._connect()).one(sql, **params)

    def value(self, sql: str, /, **params: Any) -> Any:
        """Return the first column of the first row, or None."""
        return Snapshot(self._connect()).value(sql, **params)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Read several statements from one consistent state of the database."""
        connection = self._connect()
        _bound(connection, "begin")
        try:
            yield Snapshot(connection)
        finally:
            _bound(connection, "rollback")

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a write transaction; commit at the end of the block, roll back if it raises.

        Raises LockedOrFull when the lock is not had within the busy timeout, or the disk is full, Gone when
        the file is another one by now, and RuntimeError for a write within a write of the same thread, which
        would wait for itself.
        """
        self._notice_fork()
        self.require()
        with self._one_writer():
            connection = self._writer = self._writer or _open(self.path, self._synchronous)
            connection.execute("begin immediate")
            try:
                yield Transaction(connection)
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        if self._writing_thread == threading.get_ident():
            raise RuntimeError("a write within a write of the same thread")
        if not self._write_lock.acquire(timeout=settings.get().busy_timeout_s):
            raise LockedOrFull("database is locked")
        self._writing_thread = threading.get_ident()
        try:
            yield
        finally:
            self._writing_thread = None
            self._write_lock.release()

    def version(self) -> int:
        """Return a number that changes when another connection has committed; the cheapest poll there is."""
        return int(self._connect().execute("pragma data_version").fetchone()[0])

    def probe(self) -> None:
        """Read something from the file; raises Damaged if that fails. `select 1` would ask no file at all."""
        self.require()
        self.value("select 1 from sqlite_master limit 1")

    @property
    def is_there(self) -> bool:
        """Tell whether the file is still the one that was opened (3 us)."""
        found = _file(self.path)
        self._file = self._file or found  # gone before it was opened at all: the one that comes back
        return found is not None and found == self._file

    def require(self) -> None:
        """Raise Gone if the file was deleted or replaced."""
        if not self.is_there:
            raise Gone(
                f"{self.path.name} was deleted or replaced while it was open. Put the file back, or stop "
                "Offload and restore a backup."
            )

    def close(self) -> None:
        """Close the connection of this thread."""
        lent: _Lent | None = getattr(self._local, "lent", None)
        if lent is not None:
            self._local.lent = None
            lent.close()

    def _notice_fork(self) -> None:
        if self._pid != os.getpid():  # a child must not share its parent's connections or lock
            self._local, self._write_lock, self._pid = threading.local(), threading.Lock(), os.getpid()
            self._idle = deque()
            self._writer = self._writing_thread = None

    def _connect(self) -> TimedConnection:
        self._notice_fork()
        lent: _Lent | None = getattr(self._local, "lent", None)
        if lent is None:
            try:
                connection = self._idle.pop()
            except IndexError:
                self.require()
                connection = _open(self.path, self._synchronous)
            lent = self._local.lent = _Lent(connection, self._idle)
        return lent.connection


def listed(name: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """Return placeholders for `in (...)` and their parameters; an empty list matches nothing."""
    params = {f"{name}_{i}": value for i, value in enumerate(values)}
    return ", ".join(f":{key}" for key in params) or "null", params


def main() -> Database:
    """Return the database of tasks, people and schedules; every commit survives a power loss."""
    return _database("offload.db", "FULL")


def metrics() -> Database:
    """Return the database of recorded requests; the last commits may be lost at a power loss.

    Where its file was deleted or replaced, this is another database than before.
    """
    return _replaceable("metrics.db")


def cache() -> Database:
    """Return the cache; it may be deleted at any time."""
    return _replaceable("cache.db")


def _bound(connection: sqlite3.Connection, sql: str) -> None:
    """Begin or end a snapshot: no query, so it is not counted as one. (What writes waits, and is counted.)"""
    sqlite3.Connection.execute(connection, sql)


def set_up(data_dir: Path) -> None:
    """Make the data folder, its key, its databases and tables; safe when several processes start at once."""
    os.umask(0o077)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(PermissionError):  # a folder of another user: doctor reports it
        data_dir.chmod(0o700)
    with _alone(data_dir):
        for folder in ("artifacts", "uploads"):
            (data_dir / folder).mkdir(mode=0o700, exist_ok=True)
        make_key(data_dir / KEY_FILE)
        for name, sets in schema.FILES.items():
            _migrate(data_dir / name, sets)


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    with (data_dir / ".setup.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:  # not left to closing the file: a child forked meanwhile holds it open, and so the lock
            fcntl.flock(lock, fcntl.LOCK_UN)


def reset() -> None:
    """Forget the open databases and the settings of this process, as a new process would (for tests)."""
    _set_up_once.cache_clear()
    _open_ones.clear()
    settings.get.cache_clear()


def _database(name: str, synchronous: str) -> Database:
    found = _open_ones.get(name)
    if found is None:
        data_dir = settings.get().data_dir
        _set_up_once(data_dir)
        found = _open_ones.setdefault(name, Database(data_dir / name, synchronous=synchronous))
    return found


def _replaceable(name: str) -> Database:
    """Return a database whose content may be lost: the file that is there now, made anew if there is none."""
    found = _database(name, "NORMAL")
    if not found.is_there:
        with _usable(found.path.parent), _alone(found.path.parent):
            _migrate(found.path, schema.FILES[name])
        _log.warning("database file was deleted or replaced", file=name, then="opened anew")
        found = _open_ones[name] = Database(found.path, synchronous="NORMAL")
    return found


@lru_cache(maxsize=1)
def _set_up_once(data_dir: Path) -> None:
    with _usable(data_dir):
        set_up(data_dir)


@contextmanager
def _usable(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"Cannot use the data folder {data_dir}: {error.strerror}. Choose another with OFFLOAD_DATA_DIR.",
            code="data_dir",
        ) from error


def _file(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one under the same name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open(path: Path, synchronous: str) -> TimedConnection:
    timeout_s = settings.get().busy_timeout_s
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",  # one that was just deleted is not made anew, empty
        uri=True,
        timeout=timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
        factory=TimedConnection,
    )
    connection.row_factory = Row
    for pragma in (
        f"synchronous={synchronous}",
        f"cache_size=-{_CACHE_KIB}",
        f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
        "foreign_keys=on",
    ):
        sqlite3.Connection.execute(connection, f"pragma {pragma}")  # not a query of the work that opens it
    return connection


def _migrate(path: Path, sets: schema.MigrationSets) -> None:
    if path.name in _REPLACEABLE and not path.exists():
        # Perhaps other processes have it open: the index they share would be taken for the new file's.
        for rest in ("-wal", "-shm"):
            path.with_name(path.name + rest).unlink(missing_ok=True)
    connection = sqlite3.connect(path, timeout=settings.get().busy_timeout_s)
    try:
        database = sqlite_utils.Database(connection)
        database.enable_wal()
        for migrations in sets:
            migrations.apply(database)
    finally:
        connection.close()
    with suppress(PermissionError):  # a file of another user: doctor reports it
        path.chmod(0o600)
