"""The network under httpcore: one lookup, every answer checked, connect by number, every wait bounded.

httpcore keeps the host name for SNI and certificate, so there is nothing to get wrong about TLS.
"""

import errno
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import httpcore

from engine import clock, log
from engine.lib import addresses
from engine.lib.http import failures, guard
from engine.lib.http.failures import CallFailed

logger = log.get(__name__)

LOOKUP_S = 5.0
"""Longest wait for a name; getaddrinfo itself has no limit."""
_LOOKUPS = threading.BoundedSemaphore(32)
_LOOKUP_POLL_S = 0.02
_MOST_ADDRESSES = 4
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL

Value = TypeVar("Value")


class Backend(httpcore.NetworkBackend):
    """Opens connections for the call of the current guard, to its checked target only."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        call = guard.current()
        target = call.target
        if target is None or (target.host, target.port) != (host, port):
            logger.warning("call refused", host=host, reason="the connection is not for the checked address")
            raise failures.not_allowed()
        found = [host] if target.literal else _timed_lookup(host, port, call)
        for address in found:
            if reason := addresses.why_not(address, opened=target.opened):
                logger.warning("call refused", host=host, reason=reason)
                raise failures.not_allowed()
        return Stream(_connect(found[:_MOST_ADDRESSES], port, call))

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        raise failures.not_allowed()


class Stream(httpcore.NetworkStream):
    """A socket that never blocks longer than the current call allows."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._spoilt = False

    def spoil(self) -> None:
        """Have the connection closed before it is used again."""
        self._spoilt = True

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._until_done(partial(self._sock.recv, max_bytes), select.POLLIN, httpcore.ReadError)
        guard.current().did_read(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        guard.current().will_write()
        rest = memoryview(buffer)
        while rest:
            n = self._until_done(partial(self._sock.send, rest), select.POLLOUT, httpcore.WriteError)
            rest = rest[n:]

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        call, began = guard.current(), clock.elapsed()
        try:
            wrapped = ssl_context.wrap_socket(
                self._sock, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            self._sock = wrapped
            self._until_done(wrapped.do_handshake, select.POLLIN, httpcore.ConnectError)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise CallFailed(
                "certificate", f"The certificate is not valid: {error.verify_message}"
            ) from error
        except BaseException as error:
            self.close()
            if isinstance(error, ssl.SSLError | httpcore.ConnectError):
                raise CallFailed(
                    "tls_failed", "No secure connection could be agreed.", transient=True
                ) from error
            raise
        call.timing.tls_ms += (clock.elapsed() - began) * 1000
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # httpcore asks it to learn whether an idle connection was closed
            if self._spoilt:
                return True
            poll = select.poll()
            poll.register(self._sock, select.POLLIN)
            return any(event & _READABLE for _, event in poll.poll(0))
        return {"socket": self._sock, "ssl_object": getattr(self._sock, "_sslobj", None)}.get(info)

    def _until_done(self, act: Callable[[], Value], event: int, failure: type[Exception]) -> Value:
        call = guard.current()
        while True:
            call.check()
            try:
                return act()
            except ssl.SSLWantReadError:
                waiting_for = select.POLLIN
            except ssl.SSLWantWriteError:
                waiting_for = select.POLLOUT
            except BlockingIOError:
                waiting_for = event
            except ssl.SSLCertVerificationError:
                raise
            except OSError as error:
                raise failure(str(error)) from error
            call.wait(self._sock, waiting_for)


def _timed_lookup(host: str, port: int, call: guard.Guard) -> list[str]:
    began = clock.elapsed()
    try:
        return look_up(host, port, call)
    finally:
        call.timing.lookup_ms += (clock.elapsed() - began) * 1000


def look_up(host: str, port: int, call: guard.Guard) -> list[str]:
    """Return the addresses of a name, asked once, on a thread that may be left behind when it hangs."""
    if not _LOOKUPS.acquire(timeout=min(LOOKUP_S, call.remaining_s)):
        raise CallFailed("lookup_failed", "Too many names are being looked up.", transient=True)
    answer: list[Any] = []
    done = threading.Event()

    def ask() -> None:
        try:
            answer.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.append(error)
        finally:
            _LOOKUPS.release()
            done.set()

    threading.Thread(target=ask, name="lookup", daemon=True).start()
    until = clock.elapsed() + LOOKUP_S
    while not done.wait(_LOOKUP_POLL_S):
        call.check()
        if clock.elapsed() >= until:
            raise CallFailed(
                "lookup_failed", f"The name was not found within {LOOKUP_S:g} s.", transient=True
            )
    return _answers(answer[0])


def _answers(found: Any) -> list[str]:
    if isinstance(found, Exception):
        for_now = isinstance(found, socket.gaierror) and found.errno == socket.EAI_AGAIN
        raise CallFailed("lookup_failed", "There is no such host.", transient=for_now) from found
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _connect(found: list[str], port: int, call: guard.Guard) -> socket.socket:
    """Connect to the first address that answers; each gets an equal share of the time that is left."""
    began = clock.elapsed()
    try:
        for index, address in enumerate(found):
            share_s = call.remaining_s / (len(found) - index)
            if sock := _try(address, port, call, share_s):
                return sock
    finally:
        call.timing.connect_ms += (clock.elapsed() - began) * 1000
    call.check()
    raise CallFailed("connect_failed", "No connection could be made.", transient=True)


def _try(address: str, port: int, call: guard.Guard, limit_s: float) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        status = sock.connect_ex((address, port))
        ready = status == 0 or (
            status == errno.EINPROGRESS
            and call.wait(sock, select.POLLOUT, limit_s)
            and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        )
        if ready and sock.getpeername()[0] == address:
            return sock
    except OSError:
        pass
    except BaseException:
        sock.close()
        raise
    sock.close()
    return None
