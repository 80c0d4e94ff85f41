"""The bounded queue between the work and the writer thread, and the counter that survives a kill."""

import fcntl
import mmap
import os
import secrets
from collections import deque
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Event, Lock

from engine.services.monitor.unit import Unit

MAX_UNITS = 20_000
WAKE_AT = 500
"""The writer is woken at this many units, otherwise once a second."""
FOLDER = "recorders"


class Buffer:
    """Takes units from any thread without waiting; what exceeds `MAX_UNITS` is counted and dropped."""

    def __init__(self, max_units: int = MAX_UNITS) -> None:
        self._units: deque[Unit] = deque()
        self._max = max_units
        self._drop_lock = Lock()
        self.n_dropped = 0
        self.filled = Event()

    def put(self, unit: Unit) -> None:
        """Add a unit, or drop it when the writer is too far behind."""
        units = self._units
        if len(units) >= self._max:
            self.drop(1)
            return
        units.append(unit)
        if len(units) >= WAKE_AT and not self.filled.is_set():
            self.filled.set()

    def take(self, limit: int) -> list[Unit]:
        """Remove and return up to `limit` units, the oldest first."""
        pop = self._units.popleft
        return [pop() for _ in range(min(limit, len(self._units)))]

    def drop(self, n: int) -> None:
        """Count units that will not be stored."""
        with self._drop_lock:
            self.n_dropped += n

    def __len__(self) -> int:
        return len(self._units)


class Ledger:
    """How many units this process was handed, in a mapped file: known even after `kill -9`.

    The file is locked as long as the process lives, so another process can tell that it is dead.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.id = f"{os.getpid()}-{secrets.token_hex(4)}"
        folder = data_dir / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = folder / self.id
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.ftruncate(self._fd, 8)
        self._map = mmap.mmap(self._fd, 8)
        self._cell = memoryview(self._map).cast("Q")
        self._numbers = count(1)

    def add(self) -> None:
        """Count one unit."""
        try:  # not `suppress`, which costs 0.7 us
            self._cell[0] = next(self._numbers)
        except ValueError:
            return  # closed: the recorder has ended, or counts in another folder

    def go_on_from(self, n: int) -> None:
        """Begin at the number of units there were before the file."""
        self._cell[0] = n
        self._numbers = count(n + 1)

    def close(self, *, remove: bool) -> None:
        """Let go of the file; remove it when its number is no longer needed."""
        self._cell.release()
        self._map.close()
        os.close(self._fd)
        if remove:
            self._path.unlink(missing_ok=True)


def dead_ledgers(data_dir: Path) -> list[tuple[Path, int]]:
    """Return the files of processes that are gone, with the number of units each was handed."""
    found = []
    for path in sorted((data_dir / FOLDER).glob("*-*")):
        # Locked: its process lives. Gone: its process has just ended and removed it.
        with suppress(BlockingIOError, FileNotFoundError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raw = file.read(8)
            found.append((path, int.from_bytes(raw, "little") if len(raw) == 8 else 0))
    return found
