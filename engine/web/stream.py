"""Task changes as they happen, for any number of listeners, from one poller per process.

Processes share nothing but the database, so somebody has to look: one connection asks every 100 ms whether
anything was committed at all (`PRAGMA data_version`, some microseconds), and only then which of the watched
tasks changed (two queries, however many people watch). A listener holds the newest change only, so one that
reads slowly costs no memory and skips what is out of date.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from engine import log
from engine.queries import changes
from engine.records import db
from engine.records.tasks import Task

POLL_S = 0.1


@dataclass(eq=False)
class Listener:
    """One client that watches one task."""

    task_id: str
    _newest: Task | None = None
    _stamp: changes.Stamp | None = None
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def seen(self, task: Task) -> None:
        """Note what the client knows already, so that it is not told again."""
        self._stamp = changes.stamp(task)

    def put(self, task: Task) -> None:
        """Replace what has not been taken yet."""
        self._newest = task
        self._arrived.set()

    async def next(self, timeout_s: float) -> Task | None:
        """Wait for news of the task; None if there were none within the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return None
        self._arrived.clear()
        task = self._newest
        if task is None or changes.stamp(task) == self._stamp:
            return None
        self.seen(task)
        return task


class Poller:
    """Looks for changes as long as anybody listens. Belongs to one event loop."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}
        self._known: dict[str, changes.Stamp] = {}
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "stream")  # one connection: `version` compares only there

    @property
    def n_listeners(self) -> int:
        return sum(map(len, self._listeners.values()))

    def add(self, listener: Listener) -> None:
        """Begin to watch for a listener."""
        self._listeners.setdefault(listener.task_id, set()).add(listener)
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._poll())

    def remove(self, listener: Listener) -> None:
        """Stop watching for a listener."""
        left = self._listeners.get(listener.task_id, set())
        left.discard(listener)
        if not left:
            self._listeners.pop(listener.task_id, None)
            self._known.pop(listener.task_id, None)

    async def _poll(self) -> None:
        in_thread = asyncio.get_running_loop().run_in_executor
        seen, watched = -1, frozenset[str]()
        while self._listeners:
            try:
                version = await in_thread(self._thread, changes.version)
                ids = frozenset(self._listeners)
                if version != seen or not ids <= watched:
                    self._tell(await in_thread(self._thread, changes.changed, list(ids), dict(self._known)))
                    seen, watched = version, ids
            except db.LockedOrFull as error:
                log.get(__name__).warning("cannot look for changes", error=str(error))
            await asyncio.sleep(POLL_S)

    def _tell(self, tasks: list[Task]) -> None:
        for task in tasks:
            for listener in self._listeners.get(task.id, ()):
                self._known[task.id] = changes.stamp(task)
                listener.put(task)


@contextmanager
def watching(task_id: str) -> Iterator[Listener]:
    """Listen to a task; read the task only after this, so that no change falls between."""
    poller = _pollers.setdefault(asyncio.get_running_loop(), Poller())
    listener = Listener(task_id)
    poller.add(listener)
    try:
        yield listener
    finally:
        poller.remove(listener)


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, Poller] = WeakKeyDictionary()
