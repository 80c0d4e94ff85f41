"""What happens in the forked child, from the fork to its exit."""

import ctypes
import os
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from engine import clock, log
from engine.lib.child import failures, wire

OUT_OF_MEMORY = 71
"""Exit status that stands for MemoryError; telling it in words would need memory."""
LOST = 72
"""Exit status when the process that asked is gone."""

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_PROGRESS_PER_S = 10
_LIBC = ctypes.CDLL(None, use_errno=True)
_PAGE = resource.getpagesize()
_MIB = 1024 * 1024

Function = Callable[[Any, "Channel"], Any]


class Channel:
    """The job's way to say something before it is done."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._percent = 0
        self._note = ""
        self._said_at = -1.0

    def progress(self, percent: float, note: str = "") -> None:
        """Report progress, at most ten times a second and never backwards."""
        whole = max(self._percent, min(100, int(percent)))
        now = clock.elapsed()
        if (whole, note) == (self._percent, self._note) or now - self._said_at < 1 / _PROGRESS_PER_S:
            return
        self._percent, self._note, self._said_at = whole, note, now
        self._send({"kind": "progress", "percent": whole, "note": note})

    def log(self, text: str) -> None:
        """Add a line to the log that is kept with the attempt."""
        self._send({"kind": "log", "text": text[: failures.TAIL_CHARS]})

    def finish(self, value: Any) -> None:
        """Hand over the result."""
        self._send({"kind": "result", "value": value})

    def fail(self, error: BaseException) -> None:
        """Hand over the exception that ended the job."""
        self._send({"kind": "error", **failures.encode(error)})

    def _send(self, frame: dict[str, Any]) -> None:
        try:
            wire.send_frame(self._connection, frame)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(LOST)


def main(job: wire.Job, connection: socket.socket, output: int, argument: int, server: int) -> None:
    """Become the child of `job`; never returns."""
    channel = Channel(connection)
    try:
        _die_with(server)
        _redirect(output, job.log_level)
        _limit(job)
        if connection.recv(len(wire.GO)) != wire.GO:
            os._exit(LOST)
        if job.correlation_id:
            log.correlate(job.correlation_id)
        channel.finish(_load(job.function)(wire.from_memory_file(argument), channel))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException as error:  # noqa: BLE001 - WeasyPrint's FatalURLFetchingError is a BaseException
        channel.fail(error)
    os._exit(0)


def _die_with(server: int) -> None:
    """Ask the kernel to kill this process when the server dies, and check that it has not died already."""
    os.setpgid(0, 0)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != server:
        os._exit(LOST)


def _redirect(output: int, log_level: str) -> None:
    """Send what libraries print to the asking process; keep the structured log on the real standard error."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    log.configure("child", level=log_level)


def _limit(job: wire.Job) -> None:
    os.umask(0o077)
    tempfile.tempdir = job.scratch
    os.nice(max(0, job.nice - os.getpriority(os.PRIO_PROCESS, 0)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (job.cpu_s, job.cpu_s + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (job.file_mb * _MIB, job.file_mb * _MIB))
    # Not RLIMIT_AS: address space says little about memory, and some libraries reserve tens of GiB of it.
    data = _private_bytes() + job.memory_mb * _MIB
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))


def _private_bytes() -> int:
    """Return what RLIMIT_DATA counts for this process now: column 6 of statm, in pages (proc(5))."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * _PAGE


def _load(path: str) -> Function:
    module, _, name = path.partition(":")
    function: Function = getattr(import_module(module), name)
    return function
