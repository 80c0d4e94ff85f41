"""The fork server: one thread that forks, watches and kills; started by `client`, ends with its owner."""

import gc
import json
import os
import selectors
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

from engine.lib.child import inside, wire

_CHECK_OWNER_S = 1.0
_DESCRIPTORS = 4


@dataclass
class Running:
    """One child and the socket on which its end is told and its kill is asked for."""

    pid: int
    status: socket.socket
    asked: bool = True
    """Whether the asking side is still there to be told."""


class Server:
    """Forks one child per job it is sent on the control socket."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._owner = os.getppid()
        self._children: dict[int, Running] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)

    def serve(self) -> None:
        """Work until the owner is gone; then kill what runs and return."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._watch(self._control, self._on_control)
        self._watch(self._woken, self._on_child)
        while self._control.fileno() >= 0 and os.getppid() == self._owner:
            for key, _ in self._selector.select(_CHECK_OWNER_S):
                key.data()
        for child in self._children.values():
            _kill(child.pid)

    def _watch(self, connection: socket.socket, callback: Callable[[], None]) -> None:
        self._selector.register(connection, selectors.EVENT_READ, callback)

    def _on_control(self) -> None:
        text, descriptors, _, _ = socket.recv_fds(self._control, wire.CONTROL_BYTES, _DESCRIPTORS)
        if not text:
            self._control.close()
        elif descriptors:
            self._start(wire.Job.from_bytes(text), descriptors)
        else:
            for module in json.loads(text):
                _import(module)

    def _start(self, job: wire.Job, descriptors: list[int]) -> None:
        connection = socket.socket(fileno=descriptors[0])
        status = socket.socket(fileno=descriptors[1])
        output, argument = descriptors[2:]
        _import(job.module)
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            _tell(status, {"failed": str(error)})
            status.close()
        else:
            if pid == 0:
                self._leave()
                status.close()
                inside.main(job, connection, output, argument, server)
            with suppress(OSError):
                os.setpgid(pid, pid)  # the child does the same; whoever is first, the group exists now
            self._children[pid] = child = Running(pid, status)
            self._watch(status, lambda: self._on_status(child))
            _tell(status, {"pid": pid})
        connection.close()
        for descriptor in (output, argument):
            os.close(descriptor)

    def _leave(self) -> None:
        """In the child: let go of everything that belongs to the server."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for end in (self._control, self._woken, self._waker):
            end.close()
        for child in self._children.values():
            child.status.close()

    def _on_status(self, child: Running) -> None:
        """The asking side wants the child killed, or has let go of it, which means the same."""
        if self._children.get(child.pid) is not child:
            return  # reaped a moment ago, in the same round of events
        with suppress(OSError):
            if not child.status.recv(len(wire.KILL)):
                child.asked = False
                self._selector.unregister(child.status)
        _kill(child.pid)

    def _on_child(self) -> None:
        with suppress(BlockingIOError):
            while self._woken.recv(1024):
                pass
        with suppress(ChildProcessError):
            # Looking without reaping keeps the process id, and so the group id, from being reused.
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                _kill(ended.si_pid)
                self._reap(ended.si_pid)

    def _reap(self, pid: int) -> None:
        _, status, usage = os.wait4(pid, 0)
        child = self._children.pop(pid)
        if child.asked:
            self._selector.unregister(child.status)
        cpu_ms = round((usage.ru_utime + usage.ru_stime) * 1000)
        _tell(child.status, {"status": status, "cpu_ms": cpu_ms, "peak_bytes": usage.ru_maxrss * 1024})
        child.status.close()


def _import(module: str) -> None:
    """Import what a job needs once, for all later forks; a failure is left to the child to report."""
    if module in sys.modules:
        return
    with suppress(Exception):
        import_module(module)
        gc.collect()
        gc.freeze()  # a collection in a child would write to, and so copy, every shared page


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _tell(status: socket.socket, words: dict[str, object]) -> None:
    with suppress(OSError):
        status.send(json.dumps(words).encode())


def main(control: int) -> None:
    """Serve on an inherited socket; called by a fresh interpreter."""
    # Libraries may start threads when imported (numpy's do nothing until they are used).
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork.*")
    Server(socket.socket(fileno=control)).serve()
    os._exit(0)
