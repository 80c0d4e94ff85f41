"""The limits of one call, found by the network streams through a context variable.

A connection outlives the call that opened it (keep-alive), so its stream asks each time which call it serves.
"""

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from engine import clock
from engine.lib.addresses import Verdict
from engine.lib.http import failures

_POLL_S = 0.05
"""How often a waiting call looks whether it was cancelled."""
_HEAD_BYTES = 256 * 1024
"""Most bytes of status lines and headers: bounds an endless run of `102` replies, which h11 does not."""


@dataclass
class Timing:
    """Where the time of a call went, in milliseconds; summed over redirects, 0 for a reused connection."""

    lookup_ms: float = 0.0
    connect_ms: float = 0.0
    tls_ms: float = 0.0
    first_byte_ms: float = 0.0
    """From the request's first byte out to the answer's first byte in."""
    body_ms: float = 0.0
    total_ms: float = 0.0

    def document(self) -> dict[str, float]:
        """Return the parts rounded to microseconds."""
        return {name: round(value, 3) for name, value in vars(self).items()}


class Guard:
    """Deadline, cancel hook, measurements and what was sent, of one call."""

    def __init__(
        self,
        *,
        timeout_s: float,
        cancelled: Callable[[], bool] | None = None,
        on_send: Callable[[], None] | None = None,
    ) -> None:
        self._began = clock.elapsed()
        self._deadline = self._began + timeout_s
        self._cancelled = cancelled or (lambda: False)
        self._on_send = on_send
        self._wrote_at: float | None = None
        self._head_bytes = 0
        self._head = True
        self.timing = Timing()
        self.sent = False
        self.target: Verdict | None = None
        """The checked target the next connection must be for."""

    @property
    def remaining_s(self) -> float:
        return max(0.0, self._deadline - clock.elapsed())

    @property
    def elapsed_ms(self) -> float:
        return (clock.elapsed() - self._began) * 1000

    def check(self) -> None:
        """Raise CallFailed when the deadline has passed or the call was cancelled."""
        if self._cancelled():
            raise failures.cancelled()
        if self.remaining_s <= 0:
            raise failures.timed_out()

    def wait(self, sock: socket.socket, event: int, limit_s: float | None = None) -> bool:
        """Wait until a socket is ready for a poll event; False after `limit_s`, CallFailed as in `check`."""
        poll = select.poll()
        poll.register(sock, event)
        until = None if limit_s is None else clock.elapsed() + limit_s
        while True:
            self.check()
            left = self.remaining_s if until is None else min(self.remaining_s, until - clock.elapsed())
            if poll.poll(max(1, min(_POLL_S, left) * 1000)):
                return True
            if until is not None and clock.elapsed() >= until:
                return False

    def begin_request(self, target: Verdict) -> None:
        """Expect a new answer head, from a checked target."""
        self.target, self._head, self._head_bytes, self._wrote_at = target, True, 0, None

    def begin_body(self) -> None:
        """The head is complete; what follows is counted by the reader of the body."""
        self._head = False

    def will_write(self) -> None:
        """A byte of the request is about to leave. The first time, tell who must know before it happens."""
        if not self.sent:
            if self._on_send:
                self._on_send()
            self.sent = True
        if self._wrote_at is None:
            self._wrote_at = clock.elapsed()

    def did_read(self, n_bytes: int) -> None:
        """Count what came in while the head is awaited."""
        if not self._head:
            return
        if self._head_bytes == 0 and self._wrote_at is not None:
            self.timing.first_byte_ms += (clock.elapsed() - self._wrote_at) * 1000
        self._head_bytes += n_bytes
        if self._head_bytes > _HEAD_BYTES:
            raise failures.CallFailed("head_too_large", "The answer's headers are too large.")


_current: ContextVar[Guard] = ContextVar("offload_call")


def current() -> Guard:
    """Return the guard of the running call; LookupError outside one, so nothing connects unguarded."""
    return _current.get()


@contextmanager
def use(guard: Guard) -> Iterator[Guard]:
    """Make a guard the current one."""
    token = _current.set(guard)
    try:
        yield guard
    finally:
        _current.reset(token)
