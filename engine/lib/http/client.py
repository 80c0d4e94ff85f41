"""One call: check, connect, send, read, and follow redirects by hand."""

import os
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import httpcore
import httpx

from engine import __version__, log, settings
from engine.lib import addresses, trace
from engine.lib.addresses import Verdict
from engine.lib.http import body as bodies
from engine.lib.http import failures, guard
from engine.lib.http.failures import CallFailed
from engine.lib.http.guard import Guard, Timing
from engine.lib.http.headers import is_secret
from engine.lib.http.network import Backend

logger = log.get(__name__)

USER_AGENT = f"Offload/{__version__}"

_CONNECTIONS = 100
_IDLE_CONNECTIONS = 20
_KEEP_ALIVE_S = 15
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods whose request may meet a kept connection the server is just closing: it is repeated harmlessly."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. Headers are checked by the caller (`check_headers`)."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call: seconds in total, bytes as sent and inflated, redirects followed."""

    timeout_s: float
    raw_bytes: int
    inflated_bytes: int
    redirects: int = 3
    start_only: bool = False
    """Read only the first `raw_bytes` of the body, as sent and asked for uncompressed: the status matters."""

    @classmethod
    def from_settings(cls, timeout_s: float | None = None, redirects: int = 3) -> "Limits":
        """Return the limits of the installation."""
        found = settings.get()
        return cls(
            found.call_timeout_s if timeout_s is None else timeout_s,
            found.call_raw_bytes,
            found.call_inflated_bytes,
            redirects,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `url` is the last one asked; `headers` may hold secrets, see `mask_headers`."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    url: str
    n_raw_bytes: int
    n_redirects: int
    timing: Timing

    def header(self, name: str) -> str | None:
        """Return the first header of a name, given in small letters."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def send(
    request: Request,
    limits: Limits,
    *,
    cancelled: Callable[[], bool] | None = None,
    on_send: Callable[[], None] | None = None,
) -> Answer:
    """Make one call and return its answer, whatever its status; raise CallFailed when there is none.

    `cancelled` is asked about every 50 ms while the call waits; `on_send` is called once, just before the
    first byte of the request leaves, and may raise to hold it back.
    """
    call = Guard(timeout_s=limits.timeout_s, cancelled=cancelled, on_send=on_send)
    with (
        trace.operation("call", f"{request.method} {_host(request.url)}") as span,
        guard.use(call),
    ):
        try:
            answer = _follow(request, limits, call)
        except CallFailed as error:
            error.sent = call.sent
            raise
        span.detail, span.failed = str(answer.status), answer.status >= 500
        return answer


def _follow(request: Request, limits: Limits, call: Guard) -> Answer:
    n_redirects = 0
    while True:
        answer = _exchange(request, limits, call)
        location = answer.header("location") if answer.status in _REDIRECTS else None
        if location is None or limits.redirects == 0 or request.method not in ("GET", "HEAD"):
            answer.timing.total_ms = call.elapsed_ms
            return replace(answer, n_redirects=n_redirects)
        if n_redirects == limits.redirects:
            raise CallFailed("redirect", f"The server redirected more than {limits.redirects} times.")
        n_redirects += 1
        request = _next_hop(request, location)


def _next_hop(request: Request, location: str) -> Request:
    """Return the request of a redirect; secrets stay behind when the origin changes."""
    here = httpx.URL(request.url)
    try:
        there = here.join(location)
    except (httpx.InvalidURL, ValueError) as error:
        raise CallFailed("redirect", "The server redirected to an address that cannot be read.") from error
    if any(c in location for c in "\\ \t") or not location.isprintable():
        raise CallFailed("redirect", "The server redirected to an address that cannot be read.")
    if here.scheme == "https" and there.scheme != "https":
        raise CallFailed("redirect", "The server redirected from https to an unprotected address.")
    same = (here.scheme, here.raw_host, _port(here)) == (there.scheme, there.raw_host, _port(there))
    headers = {n: v for n, v in request.headers.items() if same or not is_secret(n)}
    return replace(request, url=str(there), headers=headers)


def _exchange(request: Request, limits: Limits, call: Guard) -> Answer:
    call.check()
    url, target = _check(request.url)
    call.begin_request(target)
    built = httpx.Request(
        request.method,
        url,
        headers={
            "user-agent": USER_AGENT,
            "accept": "*/*",
            **_lower(request.headers),
            "accept-encoding": "identity" if limits.start_only else "gzip",
        },
        content=request.content,
    )
    wire = httpcore.Request(
        method=built.method,
        url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=built.headers.raw,
        content=built.stream,
        extensions={"timeout": {"pool": call.remaining_s}},
    )
    with _as_call_failed(), _open(wire, _pool(os.getpid(), built.method in _REPEATABLE)) as response:
        if response.status < 200:
            raise CallFailed("protocol_error", "The server wants to speak another protocol.")
        call.begin_body()
        began_ms = call.elapsed_ms
        headers = [(name.decode("latin-1"), _text(value)) for name, value in response.headers]
        content, n_raw = _read(request.method, response, headers, limits)
        if _more_came(response):
            response.extensions["network_stream"].spoil()
        call.timing.body_ms += call.elapsed_ms - began_ms
    return Answer(response.status, headers, content, request.url, n_raw, 0, call.timing)


def _check(text: str) -> tuple[httpx.URL, Verdict]:
    """Check a URL, and that the parser whose result is sent reads the same target in it."""
    verdict = addresses.check_url(text)
    reason = verdict.reason
    if verdict.allowed:
        try:
            url = httpx.URL(text)
            read = (url.scheme, url.raw_host.decode("ascii"), _port(url))
            if read == (verdict.scheme, verdict.host, verdict.port):
                return url, verdict
            reason = f"two parsers read it differently: {read}"
        except (httpx.InvalidURL, ValueError) as error:
            reason = str(error)
    logger.warning("call refused", host=verdict.host, reason=reason)
    raise failures.not_allowed()


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _host(url: str) -> str:
    """Return host and port of an unchecked URL for people to read; never what may be a password."""
    return url.partition("//")[2].partition("/")[0].partition("?")[0].rpartition("@")[2][:200]


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _text(value: bytes) -> str:
    """Return a header's value: UTF-8 where it is that, as in file names and redirects, else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _more_came(response: httpcore.Response) -> bool:
    """Tell whether bytes follow the answer, which the next call on its connection would take for its own.

    httpcore does not tell them; `_stream`, `_connection` and `_h11_state` are private. Without them every
    connection counts as spoilt: slower, but never wrong.
    """
    stream: Any = response.stream
    try:
        return bool(stream._stream._connection._h11_state.trailing_data[0])
    except AttributeError:
        return True


@contextmanager
def _open(wire: httpcore.Request, pool: httpcore.ConnectionPool) -> Iterator[httpcore.Response]:
    response = pool.handle_request(wire)
    try:
        yield response
    finally:
        response.close()


def _read(
    method: str, response: httpcore.Response, headers: list[tuple[str, str]], limits: Limits
) -> tuple[bytes, int]:
    redirected = response.status in _REDIRECTS and limits.redirects and method in ("GET", "HEAD")
    if redirected or method == "HEAD" or response.status in (204, 304):
        return b"", 0
    if limits.start_only:
        return bodies.read_start(response.iter_stream(), limits.raw_bytes)
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return bodies.read(
        response.iter_stream(),
        encoding=",".join(found.get("content-encoding", [])),
        declared=found.get("content-length", [None])[0],
        raw_limit=limits.raw_bytes,
        inflated_limit=limits.inflated_bytes,
    )


@contextmanager
def _as_call_failed() -> Iterator[None]:
    try:
        yield
    except (httpcore.ReadError, httpcore.WriteError, httpcore.ConnectError) as error:
        raise failures.connection_lost() from error
    except httpcore.PoolTimeout as error:
        raise failures.timed_out() from error
    except httpcore.RemoteProtocolError as error:
        text = str(error)
        if "disconnected" in text or "closed connection" in text:
            raise failures.connection_lost() from error
        raise CallFailed("protocol_error", "The server's answer is not valid HTTP.") from error
    except httpcore.LocalProtocolError as error:
        raise CallFailed("protocol_error", "The request is not valid HTTP.") from error


_building = threading.Lock()
_pools: dict[tuple[int, bool], httpcore.ConnectionPool] = {}


def close() -> None:
    """Close the kept connections of this process; the next call opens new ones."""
    with _building:
        for key in [key for key in _pools if key[0] == os.getpid()]:
            _pools.pop(key).close()


def _pool(pid: int, keep: bool) -> httpcore.ConnectionPool:
    """Return the connections of one process: a forked child must not write into its parent's sockets.

    Requests that must not be repeated get a fresh connection each, so that none is lost, with its fate
    unknown, in a kept connection the server closes at that moment.
    """
    with _building:
        if (pid, keep) not in _pools:
            _pools[pid, keep] = httpcore.ConnectionPool(
                ssl_context=_ssl_context(pid),
                max_connections=_CONNECTIONS,
                max_keepalive_connections=_IDLE_CONNECTIONS if keep else 0,
                keepalive_expiry=_KEEP_ALIVE_S,
                network_backend=Backend(),
            )
        return _pools[pid, keep]


@lru_cache(maxsize=2)
def _ssl_context(_pid: int) -> ssl.SSLContext:
    return httpx.create_ssl_context()
