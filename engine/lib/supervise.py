"""Keep a few programs running: start them, pass on what they print, restart the dead, end them all.

Written here because no kept library does it: honcho 2.0 (`manager.py`) ends everything when one process ends,
never restarts, and leaves its children alive when it is killed; supervisor needs a configuration file and a
daemon of its own; circus brings a message broker. Linux does the hard part: PR_SET_PDEATHSIG (prctl(2)).
"""

import http.client
import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from engine import clock

HEALTH = "/async-monitoring/health/"
"""Path that answers without a session while the process serving it is well."""
DEATHS_MAX = 5
DEATHS_WINDOW_S = 60.0
BACKOFF_S = (0.5, 1.0, 2.0, 4.0)
"""Wait before the restart after the first, second ... death within the window."""
_LINE_BYTES = 64 * 1024
_PIECES = 16
_PROBE_EVERY_S = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_GUARD = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the supervisor is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs in the child before the program: die with the supervisor. Not a `preexec_fn`, because code between
fork and exec is unsafe beside threads. PR_SET_PDEATHSIG (1) survives the exec and is bound to the thread
that started the child, hence only `Supervisor.run`, in the main thread, starts any. The question for the
parent closes the gap in which the supervisor died before the call."""


@dataclass(frozen=True)
class Program:
    """What to keep running."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    answers: Callable[[int], bool]
    """Whether the program, of which it gets the pid, is ready; asked every 0.1 s until it is."""
    grace_s: float = 5.0
    """Seconds between asking it to end (SIGTERM) and killing its process group."""


@dataclass
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    start_at: float | None = 0.0
    kill_at: float | None = None
    planned: bool = False
    """It was told to end so as to be started anew; its end is not a death."""
    ready: bool = False
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS_MAX))
    unfinished: bytes = b""


class Supervisor:
    """Runs programs until it is told to end (SIGINT, SIGTERM, SIGHUP) or one keeps dying."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        output: Callable[[str, str], None],
        on_ready: Callable[[], None] = lambda: None,
        changed: Callable[[], bool] | None = None,
        ready_s: float = 90.0,
    ) -> None:
        """`output(name, line)` gets every line; `changed` is asked each second whether to start all anew."""
        self._children = [_Child(program) for program in programs]
        self._output, self._on_ready, self._changed = output, on_ready, changed
        self._ready_s = ready_s
        self._announced = False
        self._asked: list[int] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Block until everything has ended; return 0 after a signal, 1 after a failure. Main thread only."""
        with _woken_by_signals(self._asked.append) as alarm, closing(self._selector):
            self._selector.register(alarm, selectors.EVENT_READ)
            try:
                failed = self._keep_running()
            finally:
                self._end()
        return int(failed)

    def _keep_running(self) -> bool:
        begun = looked = clock.elapsed()
        while not self._asked:
            for child in self._children:
                if child.process is None and child.start_at is not None and child.start_at <= clock.elapsed():
                    self._start(child)
            self._wait(self._next_due())
            if any(self._died(child) for child in self._children):
                return True
            if not self._announced and self._late(begun):
                return True
            self._kill_overdue()
            if self._changed and clock.elapsed() - looked >= 1:
                looked = clock.elapsed()
                if self._changed():
                    self._start_anew()
        return False

    # One child

    def _start(self, child: _Child) -> None:
        program = child.program
        guard = [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid())]
        child.process = subprocess.Popen(
            [*guard, *program.argv],
            env=dict(program.environment),
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        child.start_at = child.kill_at = None
        child.planned = child.ready = False
        pipe = _pipe(child.process)
        os.set_blocking(pipe.fileno(), False)
        self._selector.register(pipe, selectors.EVENT_READ, child)

    def _died(self, child: _Child) -> bool:
        """Collect the child if it has ended and plan its restart; return whether it died once too often."""
        status = self._collect(child)
        if status is None:
            return False
        now = clock.elapsed()
        if child.planned:
            child.start_at = now
            return False
        child.deaths.append(now)
        recent = sum(at > now - DEATHS_WINDOW_S for at in child.deaths)
        if recent >= DEATHS_MAX:
            self._say(
                f"{child.program.name} {status}, {recent} times in {DEATHS_WINDOW_S:g} s: stopping everything"
            )
            return True
        delay_s = BACKOFF_S[min(recent, len(BACKOFF_S)) - 1]
        child.start_at = now + delay_s
        self._say(f"{child.program.name} {status}; starting it again in {delay_s:g} s")
        return False

    def _collect(self, child: _Child) -> str | None:
        """Return how the child ended, None if it runs. Nothing of its process group survives it."""
        process = child.process
        if process is None or os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        _kill_group(process)  # before the pid is given back and could belong to somebody else
        process.wait()
        self._read(child, last=True)
        self._forget(_pipe(process))
        _pipe(process).close()
        child.process = None
        code = process.returncode
        return f"was killed (signal {-code})" if code < 0 else f"ended (exit status {code})"

    def _read(self, child: _Child, *, last: bool = False) -> None:
        """Pass on the complete lines that have arrived; at the end also the unfinished one."""
        if child.process is None:
            return
        pipe = _pipe(child.process)
        with suppress(BlockingIOError):
            for _ in range(_PIECES):  # not for ever: the others want to be heard as well
                piece = os.read(pipe.fileno(), _LINE_BYTES)
                if not piece:  # it closed its output; it may go on without
                    self._forget(pipe)
                    break
                self._pass_on(child, piece)
        if last and child.unfinished:
            self._pass_on(child, b"\n")

    def _pass_on(self, child: _Child, piece: bytes) -> None:
        *lines, child.unfinished = (child.unfinished + piece).split(b"\n")
        if len(child.unfinished) > _LINE_BYTES:
            lines, child.unfinished = [*lines, child.unfinished], b""
        for line in lines:
            self._output(child.program.name, line.decode(errors="replace"))

    def _forget(self, pipe: BinaryIO) -> None:
        with suppress(KeyError):
            self._selector.unregister(pipe)

    # All of them

    def _wait(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(max(0.0, timeout_s)):
            if isinstance(key.data, _Child):
                self._read(key.data)
            else:
                with suppress(BlockingIOError):
                    os.read(key.fd, 4096)

    def _next_due(self) -> float:
        due = [at for child in self._children for at in (child.start_at, child.kill_at) if at is not None]
        soonest = min(due, default=clock.elapsed() + 60) - clock.elapsed()
        return min(soonest, _PROBE_EVERY_S if not self._announced else 60, 1 if self._changed else 60)

    def _late(self, begun: float) -> bool:
        """Ask the programs that are not ready; announce when all are; return whether it took too long."""
        for child in self._children:
            child.ready = child.ready or (
                child.process is not None and child.program.answers(child.process.pid)
            )
        waiting = [child.program.name for child in self._children if not child.ready]
        if not waiting:
            self._announced = True
            self._on_ready()
        elif clock.elapsed() - begun > self._ready_s:
            self._say(
                f"{' and '.join(waiting)} did not answer within {self._ready_s:g} s: stopping everything"
            )
            return True
        return False

    def _start_anew(self) -> None:
        self._say("the source has changed: starting everything anew")
        for child in self._children:
            if child.process is not None and not child.planned:
                child.planned = True
                self._ask_to_end(child)

    def _end(self) -> None:
        """Ask every child to end, and kill what does not; a second signal kills at once."""
        for child in self._children:
            self._ask_to_end(child)
        patience = max(len(self._asked), 1)
        while any(child.process is not None for child in self._children):
            if len(self._asked) > patience:
                patience = sys.maxsize
                for child in self._children:
                    child.kill_at = 0.0
            self._kill_overdue()
            self._wait(min(self._next_due(), 1.0))
            for child in self._children:
                self._collect(child)

    def _ask_to_end(self, child: _Child) -> None:
        child.start_at = None
        if child.process is not None:
            child.process.terminate()
            child.kill_at = clock.elapsed() + child.program.grace_s

    def _kill_overdue(self) -> None:
        for child in self._children:
            if child.process is not None and child.kill_at is not None and child.kill_at <= clock.elapsed():
                self._say(f"{child.program.name} did not end in time: killed")
                _kill_group(child.process)
                child.kill_at = None

    def _say(self, text: str) -> None:
        self._output("up", text)


def answers_http(host: str, port: int, *paths: str, timeout_s: float = 2.0) -> bool:
    """Tell whether every path of a server on this machine answers 200."""
    try:
        for path in paths:
            connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
            with closing(connection):
                connection.request("GET", path)
                if connection.getresponse().status != 200:
                    return False
    except (OSError, http.client.HTTPException):
        return False
    return True


@contextmanager
def _woken_by_signals(asked: Callable[[int], None]) -> Iterator[int]:
    """Yield a file descriptor that becomes readable at every signal; `asked` gets those that say stop."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    old_alarm = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    heard = [n for n in _SIGNALS if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]  # nohup
    old = {number: signal.signal(number, lambda got, _frame: asked(got)) for number in heard}
    old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    try:
        yield reading
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_alarm)
        os.close(reading)
        os.close(writing)


def _pipe(process: subprocess.Popen[bytes]) -> BinaryIO:
    assert process.stdout is not None
    return process.stdout  # type: ignore[return-value]


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
