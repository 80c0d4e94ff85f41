"""Hand-over in groups: what arrives while one disk flush is on its way shares the next.

A flush takes 0.5 to 5 ms, so one flush for each request bounds the process to some hundreds a second, and
lets requests queue behind each other. Here one thread writes whatever has gathered, in one transaction: a
request that comes alone waits for nobody, and a crowd costs little more than one. The event loop never waits
for the database.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

from engine import lifecycle, log
from engine.errors import Unavailable
from engine.lifecycle import Order, Submitted
from engine.words import Actor

GROUP = 64
"""Most tasks in one transaction: bounds how long other writers wait."""
WAITING = 2_000
"""More than this many unanswered requests are refused (503): the database cannot follow."""


class Handover:
    """Gathers orders and writes them. Belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Order, asyncio.Future[Submitted]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "handover")

    async def submit(self, order: Order) -> Submitted:
        """Wait until the task is stored for good; raise what `lifecycle.submit` raises."""
        if len(self._waiting) >= WAITING:
            raise Unavailable("Too many tasks are being handed over at once; try again.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Submitted] = loop.create_future()
        self._waiting.append((order, future))
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._write())
        return await future

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
            orders = [order for order, _ in group]
            try:
                results = await loop.run_in_executor(self._thread, lifecycle.submit_each, orders)
            except Exception as error:  # noqa: BLE001 - an edge: every waiting request answers with it
                results = [error] * len(group)
            for (_, future), result in zip(group, results, strict=True):
                if future.done():  # the client went away; the task stays
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)


async def submit(
    actor: Actor, type_name: str, payload: Mapping[str, Any], options: Mapping[str, Any]
) -> Submitted:
    """Hand a task over from a request; the options are those of `lifecycle.submit_in`."""
    loop = asyncio.get_running_loop()
    here = _handovers.get(loop)
    if here is None:
        here = _handovers[loop] = Handover()
    known = {"correlation_id": log.correlation_id(), **options}
    return await here.submit(Order(actor, type_name, payload, known))


_handovers: WeakKeyDictionary[asyncio.AbstractEventLoop, Handover] = WeakKeyDictionary()
