"""Processes of this machine: is that one still there, and what do this one and its children use?"""

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Usage:
    """Memory of this process and of its children in bytes; CPU of both in percent of one core."""

    memory_bytes: int
    children_memory_bytes: int
    cpu_percent: float


def host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def pid() -> int:
    """Return the id of this process."""
    return os.getpid()


@lru_cache(maxsize=1)
def host_key() -> str:
    """Return what two processes share exactly when each can see the other's pid: boot and pid namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    parts = [boot.read_text().strip() if boot.exists() else host()]
    if namespace.is_symlink():
        parts.append(os.readlink(namespace))  # noqa: PTH115 - not a path, a name like pid:[4026531836]
    return "/".join(parts)


def start_ticks(pid: int | None = None) -> int:
    """Return when a process began, by default this one, in clock ticks since boot; 0 when there is none.

    With the pid it names a process for good. Read from /proc (proc(5), field 22 of stat), because psutil's
    creation time moves with the wall clock, and a clock set back must not make workers look dead.
    """
    fields = _stat(os.getpid() if pid is None else pid)
    return int(fields[19]) if fields else 0


def is_alive(pid: int, ticks: int) -> bool:
    """Whether exactly this process still runs; a zombie does not, and a reused pid is another process."""
    fields = _stat(pid)
    return bool(fields) and int(fields[19]) == ticks and fields[0] not in ("Z", "X")


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()  # the name before it may hold anything


class Meter:
    """Measures this process between two calls."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._children: dict[int, psutil.Process] = {}
        self._process.cpu_percent()

    def read(self) -> Usage:
        """Return memory now, and CPU since the last call."""
        cpu, children_memory = self._process.cpu_percent(), 0
        seen = {child.pid: child for child in self._process.children(recursive=True)}
        self._children = {pid: self._children.get(pid, child) for pid, child in seen.items()}
        for child in self._children.values():
            try:
                children_memory += child.memory_info().rss
                cpu += child.cpu_percent()
            except psutil.NoSuchProcess:
                continue
        return Usage(self._process.memory_info().rss, children_memory, cpu)
