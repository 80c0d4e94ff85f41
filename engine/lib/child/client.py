"""The asking side: hand a job to the fork server, follow the child, stop it, say how it ended."""

import json
import os
import selectors
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from engine import clock, errors, log
from engine.lib.child import failures, handle, inside, wire

_POLL_S = 0.04
"""How often `cancelled` is asked: with the kill this keeps a cancel well under 200 ms."""
_DEATH_S = 5.0
"""How long a killed child may take to be gone before its server is killed as well."""
_MEMORY_WORDS = ("alloc", "memory")
_CAUSES = (signal.SIGABRT, signal.SIGTRAP, signal.SIGSEGV)


@dataclass(frozen=True)
class Result:
    """What the function returned and what it cost."""

    value: Any
    usage: failures.Usage


def run(
    function: str,
    argument: Any,
    *,
    timeout_s: float,
    cpu_s: int = 120,
    memory_mb: int = 1024,
    file_mb: int = 256,
    nice: int = 10,
    cancelled: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, str], None] = lambda _percent, _note: None,
    on_log: Callable[[str], None] = lambda _text: None,
    on_usage: Callable[[failures.Usage], None] = lambda _usage: None,
    correlation_id: str | None = None,
) -> Result:
    """Call `package.module:function(argument, channel)` in a child of its own and return its result.

    Argument and result are JSON. Raises TaskCancelled, ChildTimedOut, ChildOutOfMemory, ChildCpuLimit,
    ChildCrashed, the child's own exception where it is one of `engine.errors`, else ChildFailed. However it
    ends, the child is gone then and `on_usage` was told what it used.
    """
    deadline = clock.elapsed() + timeout_s
    with tempfile.TemporaryDirectory(prefix="offload-", ignore_cleanup_errors=True) as scratch:
        correlation_id = correlation_id or log.correlation_id()
        job = wire.Job(
            function, cpu_s, memory_mb, file_mb, nice, scratch, correlation_id, log_level=log.level()
        )
        for last in (False, True):
            follower = _Follower(handle.server.submit(job, argument), job, timeout_s, on_progress, on_log)
            try:
                return follower.follow(cancelled, deadline)
            except failures.ChildCrashed:
                # If the server died before the function was begun, nothing is done twice by asking a new one.
                if last or follower.began or not follower.server_gone:
                    raise
                handle.server.replace(follower.connection.server)
            finally:
                follower.close()
                if follower.began:
                    on_usage(follower.usage)
    raise AssertionError("the last try returns or raises")


def prepare(*modules: str) -> None:
    """Start the fork server now and let it import what coming jobs need, without waiting for it."""
    handle.server.tell(json.dumps(modules).encode())


def forget() -> None:
    """End the fork server of this process, if there is one, and everything it runs."""
    handle.server.close()


@dataclass
class _Follower:
    """Reads everything one child says until it is gone."""

    connection: handle.Connection
    job: wire.Job
    timeout_s: float
    on_progress: Callable[[int, str], None]
    on_log: Callable[[str], None]
    began: bool = False
    server_gone: bool = False
    ended: dict[str, Any] | None = None
    answer: dict[str, Any] | None = None
    reader: wire.FrameReader = field(default_factory=wire.FrameReader)
    output: bytearray = field(default_factory=bytearray)
    said: str = ""

    def close(self) -> None:
        """Leave nothing behind, neither child nor descriptor."""
        try:
            if self.ended is None:
                self._kill()
        finally:
            self.connection.close()

    def follow(self, cancelled: Callable[[], bool], deadline: float) -> Result:
        """Return the result or raise how it failed."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection.frames, selectors.EVENT_READ, self._read_frames)
            selector.register(self.connection.status, selectors.EVENT_READ, self._read_status)
            selector.register(self.connection.output, selectors.EVENT_READ, self._read_output)
            while self.ended is None:
                for key, _ in selector.select(_POLL_S):
                    if not key.data():
                        selector.unregister(key.fileobj)
                if self.ended is None:
                    self._check(cancelled, deadline)
        self._drain()
        return self._conclude()

    def _check(self, cancelled: Callable[[], bool], deadline: float) -> None:
        if self.answer is None and cancelled():
            self._kill()
            raise errors.TaskCancelled()
        if clock.elapsed() > deadline:
            self._kill()
            if self.answer is None:
                raise failures.ChildTimedOut(f"Stopped after {self.timeout_s:g} s.")

    def _kill(self) -> None:
        """Have the child killed and wait until it is gone; a server that does not answer goes with it."""
        status = self.connection.status
        with suppress(OSError):
            status.send(wire.KILL)
            status.settimeout(_DEATH_S)
            while self.ended is None:
                self._read_status()
        if self.ended is None:
            self.connection.server.kill()

    def _read_frames(self) -> bool:
        try:
            data = self.connection.frames.recv(65536)
        except ConnectionResetError:
            data = b""
        for frame in self.reader.feed(data):
            self._take(frame)
        return bool(data)

    def _take(self, frame: dict[str, Any]) -> None:
        match frame.get("kind"):
            case "progress":
                self.on_progress(int(frame["percent"]), str(frame["note"]))
            case "log":
                self._say(str(frame["text"]))
            case "result" | "error":
                self.answer = frame

    def _read_status(self) -> bool:
        try:
            text = self.connection.status.recv(wire.CONTROL_BYTES)
        except ConnectionResetError:
            text = b""
        self.server_gone = not text
        words = json.loads(text) if text else {"failed": "the process that starts children is gone"}
        if "pid" in words:
            self.began = True
            with suppress(BrokenPipeError):
                self.connection.frames.send(wire.GO)
        else:
            self.ended = words
        return bool(text)

    def _read_output(self) -> bool:
        data = os.read(self.connection.output, 65536)
        self.output += data
        *lines, rest = self.output.split(b"\n")
        if len(rest) > failures.TAIL_CHARS or not data:
            lines, rest = [*lines, rest], bytearray()
        self.output = bytearray(rest)
        for line in filter(None, lines):
            self._say(line.decode(errors="replace"))
        return bool(data)

    def _say(self, line: str) -> None:
        self.said = (self.said + line + "\n")[-failures.TAIL_CHARS :]
        self.on_log(line[: failures.TAIL_CHARS])

    def _drain(self) -> None:
        """Read what the child had sent before its end; something it left behind may hold the other ends."""
        self.connection.frames.setblocking(False)
        os.set_blocking(self.connection.output, False)
        for read in (self._read_frames, self._read_output):
            with suppress(BlockingIOError):
                while read():
                    pass

    @property
    def usage(self) -> failures.Usage:
        ended = self.ended or {}
        return failures.Usage(ended.get("cpu_ms", 0), ended.get("peak_bytes", 0))

    def _conclude(self) -> Result:
        if self.answer and self.answer["kind"] == "result":
            return Result(self.answer.get("value"), self.usage)
        raise failures.decode(self.answer) if self.answer else self._explain()

    def _explain(self) -> errors.OffloadError:
        """Name the reason of an end without an answer, from the exit status and the last words."""
        ended = self.ended or {}
        if "failed" in ended:
            return failures.ChildCrashed(f"The child process could not go on: {ended['failed']}.")
        code = os.waitstatus_to_exitcode(ended["status"])
        last = self.said.strip().rpartition("\n")[2]
        if code == inside.OUT_OF_MEMORY or (
            -code in _CAUSES and any(word in self.said.lower() for word in _MEMORY_WORDS)
        ):
            return failures.ChildOutOfMemory(f"More than {self.job.memory_mb} MiB of memory were needed.")
        if code == -signal.SIGXCPU or (
            code == -signal.SIGKILL and self.usage.cpu_ms >= self.job.cpu_s * 1000
        ):
            return failures.ChildCpuLimit(f"More than {self.job.cpu_s} s of CPU time were needed.")
        if code == -signal.SIGKILL:
            return failures.ChildCrashed(
                "The child process was killed; perhaps the machine ran out of memory."
            )
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return failures.ChildCrashed(f"The child process ended with {how}." + (f" {last}" if last else ""))
