"""TCP ports of this machine: can one be had, who holds it, which is free."""

import errno
import socket
from contextlib import closing

import psutil

LOOPBACK = "127.0.0.1"


def why_not(host: str, port: int) -> str | None:
    """Say why a server could not listen there, None if it could. Binds for a moment."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind, protocol)) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"port {port} is in use{_by(holder(port))}"
        if error.errno == errno.EACCES:
            return f"port {port} may not be opened by this user"
        return f"cannot listen on {host} ({error.strerror})"
    return None


def holder(port: int) -> psutil.Process | None:
    """Return the process that listens on a port, as far as this user may see it."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return psutil.Process(connection.pid)
    except psutil.Error:
        pass
    return None


def free() -> int:
    """Return a port that is free on the loopback address now."""
    with closing(socket.socket()) as trial:
        trial.bind((LOOPBACK, 0))
        return int(trial.getsockname()[1])


def reach(host: str) -> str:
    """Return the address under which this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": LOOPBACK, "": LOOPBACK, "::": "::1"}.get(host, host)


def url(host: str, port: int) -> str:
    """Return the URL under which this machine reaches a server that listens on `host`."""
    reached = reach(host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _by(process: psutil.Process | None) -> str:
    if process is None:
        return ""
    try:
        return f" by process {process.pid} ({process.name()})"
    except psutil.Error:
        return f" by process {process.pid}"
