"""What is said between the three processes: a job for the fork server, frames from the child.

Everything is JSON, never pickle: the child handles documents from outside, and a taken-over child must not
run code in the process that reads its answers.
"""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

HEADER_BYTES = 4
FRAME_BYTES = 16 * 1024 * 1024
"""Largest answer of a child; bigger results are files, and their path is the answer."""
CONTROL_BYTES = 64 * 1024
KILL = b"kill"
GO = b"!"
"""Begins the function, once the asking side knows that there is a child."""


@dataclass(frozen=True)
class Job:
    """What the fork server is told; the argument itself travels in a memory file."""

    function: str
    """`package.module:name`."""
    cpu_s: int
    memory_mb: int
    """Private memory the job may take in addition to what the fork server has (RLIMIT_DATA)."""
    file_mb: int
    nice: int
    scratch: str
    """Folder for temporary files, removed when the child is gone: it leaves without cleaning up."""
    correlation_id: str | None
    log_level: str
    """The child logs as loud as the process that asked."""

    @property
    def module(self) -> str:
        return self.function.partition(":")[0]

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, text: bytes) -> "Job":
        return cls(**json.loads(text))


def to_memory_file(value: Any) -> int:
    """Write a JSON value to a nameless file in memory and return its descriptor."""
    descriptor = os.memfd_create("argument")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(json.dumps(value).encode())
    return descriptor


def from_memory_file(descriptor: int) -> Any:
    """Read the JSON value back and close the descriptor."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return json.load(file)


def send_frame(connection: socket.socket, frame: dict[str, Any]) -> None:
    """Send one frame: four bytes of length, then JSON."""
    text = json.dumps(frame).encode()
    if len(text) > FRAME_BYTES:
        raise ValueError(f"the answer of a child is limited to {FRAME_BYTES} bytes, this one has {len(text)}")
    connection.sendall(len(text).to_bytes(HEADER_BYTES, "big") + text)


class FrameReader:
    """Cuts a byte stream into frames, however the bytes arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Add bytes; yield each frame that is now complete; raise ValueError for one that is too long."""
        self._buffer += data
        while len(self._buffer) >= HEADER_BYTES:
            size = int.from_bytes(self._buffer[:HEADER_BYTES], "big")
            if size > FRAME_BYTES:
                raise ValueError("frame too long")
            if len(self._buffer) < HEADER_BYTES + size:
                return
            frame = json.loads(self._buffer[HEADER_BYTES : HEADER_BYTES + size])
            del self._buffer[: HEADER_BYTES + size]
            if isinstance(frame, dict):
                yield frame
