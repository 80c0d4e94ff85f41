"""The asking side's hold on its fork server: start it, hand jobs over, replace it when it is gone."""

import atexit
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.lib.child import failures, wire

_ROOT = Path(__file__).parents[3]
_START = "import sys; sys.path.insert(0, sys.argv[1]); from engine.lib.child import server; server.main({})"
_END_S = 5.0
"""How long a server may take to accept a job, or to end itself and its children, before it is killed."""


@dataclass
class Connection:
    """Our ends of one job."""

    frames: socket.socket
    status: socket.socket
    output: int
    server: "subprocess.Popen[bytes]"

    def close(self) -> None:
        self.frames.close()
        self.status.close()
        os.close(self.output)


class ForkServer:
    """The handle of the fork server: one per process, shared by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def submit(self, job: wire.Job, argument: Any) -> Connection:
        """Hand over a job with the child's ends of its connections."""
        frames, their_frames = socket.socketpair()
        status, their_status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output, their_output = os.pipe()
        theirs = [their_frames.fileno(), their_status.fileno(), their_output, wire.to_memory_file(argument)]
        try:
            process = self.tell(job.to_bytes(), theirs)
        except BaseException:
            os.close(output)
            raise
        finally:
            their_frames.close()
            their_status.close()
            for descriptor in theirs[2:]:
                os.close(descriptor)
        return Connection(frames, status, output, process)

    def tell(self, text: bytes, descriptors: list[int] | None = None) -> "subprocess.Popen[bytes]":
        """Send one message, to a new server if the old one is gone; return the process it went to."""
        with self._lock:
            for last in (False, True):
                control, process = self._running()
                try:
                    socket.send_fds(control, [text], descriptors or [])
                    return process
                except OSError as error:
                    self._drop()
                    if last:
                        raise failures.ChildCrashed(f"No child process can be started: {error}") from error
            raise AssertionError("the last try returns or raises")

    def replace(self, process: "subprocess.Popen[bytes]") -> None:
        """Let go of a server that died, unless another thread has done so."""
        with self._lock:
            if self._process is process:
                self._drop()

    def close(self) -> None:
        """End the server and all it runs."""
        with self._lock:
            self._drop()

    def after_fork(self) -> None:
        """In a fork of this process: the server belongs to the parent, and only it may hold the socket."""
        self._lock = threading.Lock()
        if self._control:
            self._control.close()
        if self._process:
            self._process.returncode = 0  # not ours to wait for
        self._process = self._control = None

    def _running(self) -> "tuple[socket.socket, subprocess.Popen[bytes]]":
        if self._process and self._process.poll() is not None:
            self._drop()
        if not self._process or not self._control:
            self._process, self._control = _start_server()
        return self._control, self._process

    def _drop(self) -> None:
        process, control = self._process, self._control
        self._process = self._control = None
        if control:
            control.close()
        if process:
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start_server() -> "tuple[subprocess.Popen[bytes], socket.socket]":
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.settimeout(_END_S)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", _START.format(theirs.fileno()), str(_ROOT)],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal is for the consumer, which ends its work in order
        )
    return process, control


server = ForkServer()
"""The fork server of this process."""
atexit.register(server.close)
os.register_at_fork(after_in_child=server.after_fork)
