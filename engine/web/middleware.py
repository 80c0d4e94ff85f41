"""The request monitor: pure ASGI middleware that times requests and gives each a correlation id.

    app.add_middleware(RequestMonitor, service="shop")          # Starlette, FastAPI
    app = RequestMonitor(app, service="shop")                   # any other ASGI application

Stands outermost. What runs inside may put into `scope["state"]`: `actor` (who is signed in), and `error` (the
class of an exception that it answers by itself); it finds `correlation_id` there.

It needs nothing else of the product: with `OFFLOAD_DATA_DIR` set, another application records into the same
`metrics.db` under its own service name. It never waits for a database and never holds back a body.
"""

import re
from asyncio import CancelledError, to_thread
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from threading import get_ident
from time import perf_counter_ns, thread_time_ns
from typing import Any

from engine import log, settings
from engine.lib.trace import Trace, active
from engine.services import monitor
from engine.services.monitor import HTTP, STREAM, Unit
from engine.services.monitor.unit import AFTER
from engine.web.route_names import UNMATCHED, group, route_name

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = log.get(__name__)

HEADER = b"x-request-id"
_ACCEPTED = (HEADER, b"x-correlation-id")
_WELL_FORMED = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{7,63}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
OTHER_METHOD = "_OTHER"
"""What OpenTelemetry's conventions call a method that is not standard; keeps series few."""
UNFINISHED = "UnfinishedAnswer"
"""The application returned, and its client still waits; a server makes that 500, or breaks the answer off."""
MAX_UNREAD = 10
"""Parts of a body that an application has left, when it is asked whether the client still waits."""
CLIENT_LEFT = "ClientDisconnect"
"""What Starlette raises where it reads from a client that has gone, or writes to it."""
DISCONNECTED = 499
"""The client went away before the answer began (the number nginx uses)."""
AFTER_NS = 1_000_000
"""From here on it is said how long a request went on after its last byte."""
_MARK = "offload.monitor"
_MEASURED = 256
"""One request in so many measures its own cost; at 128 those were nearly all of the slowest 1 %."""
_requests = count(1)


class RequestMonitor:
    """Records each HTTP request; passes WebSockets and everything else on at once.

    `service` is the name to record under, by default that of the settings. `resolve` may name the route of a
    scope that no router has marked; return None to leave it to `_unmatched`.
    """

    def __init__(
        self, app: App, *, service: str | None = None, resolve: Callable[[Scope], str | None] | None = None
    ) -> None:
        self.app = app
        self.service = service or settings.get().service
        if service:
            monitor.name_process(service)
        self.resolve = resolve or group

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind != "http" or _MARK in scope:  # mounted applications may carry the middleware too
            if kind == "lifespan":
                monitor.start()
                send = _flushing(send)
            await self.app(scope, receive, send)
            return
        # The thread's CPU time: the wall clock would count what other threads do meanwhile. Reading it is a
        # call of the kernel, so one request in `_MEASURED` stands for all.
        measured = not next(_requests) % _MEASURED
        entered_ns = thread_time_ns() if measured else 0
        exchange = _Exchange(self.service, scope, send)
        traced = active.set(exchange.trace)
        correlated = log.correlate(exchange.unit.correlation_id)
        error: BaseException | None = None
        if measured:
            exchange.own_ns = thread_time_ns() - entered_ns
        try:
            await self.app(scope, receive, exchange.send)
        except BaseException as raised:
            error = raised
            raise
        finally:
            left_ns = perf_counter_ns()
            spent_ns = thread_time_ns() if measured else 0
            log.part(correlated)
            active.reset(traced)
            exchange.end(left_ns, error, receive, self.resolve)
            if measured:
                exchange.own_ns += thread_time_ns() - spent_ns
                exchange.unit.own_ns = exchange.own_ns * _MEASURED
            monitor.record(exchange.unit)


def _flushing(send: Send) -> Send:
    """Write the rest when the server shuts down: uvicorn then ends by the signal, without `atexit`."""

    async def send_after_flush(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            await to_thread(monitor.stop)
        await send(message)

    return send_after_flush


class _Exchange:
    """One request and its answer."""

    __slots__ = ("_ended_ns", "_root_path", "_scope", "_send", "own_ns", "trace", "unit")

    def __init__(self, service: str, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._root_path = scope.get("root_path", "")
        self._ended_ns = 0
        self.own_ns = 0
        self.trace = Trace(get_ident())
        self.unit = Unit(service, HTTP, "", self.trace)
        self.unit.correlation_id = _correlation_id(scope)
        scope[_MARK] = self.unit
        state = scope.setdefault("state", {})
        state[log.CORRELATION] = self.unit.correlation_id

    async def send(self, message: Message) -> None:
        """Pass an answer on: look at its start, count its bytes, hold nothing back."""
        kind = message["type"]
        if kind == "http.response.start":
            unit = self.unit
            unit.status = message["status"]
            headers = [*message.get("headers", ()), (HEADER, unit.correlation_id.encode())]
            for name, value in headers:
                if name == b"content-type" and value.startswith(b"text/event-stream"):
                    unit.kind = STREAM
            message = {**message, "headers": headers}  # an application may send the same object each time
        elif kind == "http.response.body":
            self.unit.response_bytes += len(message.get("body", b""))
        await self._send(message)
        # `pathsend` names a file that the server reads by itself.
        if kind == "http.response.pathsend" or (
            kind == "http.response.body" and not message.get("more_body", False)
        ):
            self._ended_ns = perf_counter_ns()  # what runs after the last byte is not waited for
            self.unit.trace = self.trace.detach()

    def end(
        self,
        left_ns: int,
        error: BaseException | None,
        receive: Receive,
        resolve: Callable[[Scope], str | None],
    ) -> None:
        """Write down what became of the request."""
        scope, unit, trace = self._scope, self.unit, self.trace
        unit.duration_us = ((self._ended_ns or left_ns) - trace.started_ns) // 1000
        if self._ended_ns:
            unit.after = trace.detach()
            if left_ns - self._ended_ns >= AFTER_NS:
                unit.detail = {AFTER: (left_ns - self._ended_ns) // 1000}
        else:
            unit.trace = trace.detach()  # no empty ones until the flush: what survives costs collections
            if error is None and unit.kind == HTTP and not _left(receive):
                unit.failed, unit.error, unit.status = True, UNFINISHED, unit.status or 500
        method = scope["method"]
        unit.method = method if method in _METHODS else OTHER_METHOD
        unit.name = _route(scope, self._root_path, resolve)
        unit.path = scope["path"]
        _set_outcome(unit, error)
        state = scope["state"]
        if "error" in state:
            unit.error = unit.error or str(state["error"] or "")
        if "actor" in state:
            _set_actor(unit, state["actor"])


def _correlation_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name in _ACCEPTED and _WELL_FORMED.fullmatch(value):
            return str(value, "ascii")
    return log.new_correlation_id()


def _left(receive: Receive) -> bool:
    """Tell whether the client is known to have gone away, without waiting for it to go."""
    try:
        for _ in range(MAX_UNREAD):
            waiting = receive().__await__()
            try:
                next(waiting)
            except StopIteration as told:
                if told.value["type"] == "http.disconnect":
                    return True
            else:
                waiting.close()
                return False
    except Exception:  # noqa: BLE001 - a server that will not be asked
        return True
    return False


def _route(scope: Scope, root_path: str, resolve: Callable[[Scope], str | None]) -> str:
    try:
        return route_name(scope, root_path, resolve)
    except Exception:  # noqa: BLE001 - a stranger's router or `resolve`; the request has been answered
        _log.exception("route_not_resolved")
        return UNMATCHED


def _set_outcome(unit: Unit, error: BaseException | None) -> None:
    left = error is not None and type(error).__name__ == CLIENT_LEFT
    if left and unit.status == 500:
        unit.status = 0  # what an error page said, with nobody there to read it
    if not (error is None or left or isinstance(error, CancelledError)):
        unit.failed, unit.error = True, type(error).__name__
        unit.status = unit.status or 500
    elif not unit.status:
        unit.status, unit.outcome = DISCONNECTED, "disconnect"
    if unit.status >= 500:
        unit.failed = True


def _set_actor(unit: Unit, actor: object) -> None:
    name = getattr(actor, "name", None)  # another application may keep something else under this word
    if isinstance(name, str):
        unit.user, unit.role = name, str(getattr(actor, "role", ""))
