"""Print lines from a thread of its own, so that a reader who stops reading stops nobody's work."""

import queue
import threading
from contextlib import suppress
from typing import BinaryIO


class Printer:
    """Keeps at most `bound` lines; drops and counts what does not fit, and says so when there is room."""

    def __init__(self, stream: BinaryIO, *, bound: int = 10_000) -> None:
        self._stream = stream
        self._lines: queue.Queue[bytes | None] = queue.Queue(bound)
        self._dropped = 0
        self._thread = threading.Thread(target=self._print, name="printer", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Print a line soon, or drop it."""
        try:
            if self._dropped:
                self._lines.put_nowait(f"({self._dropped} lines dropped: nobody read them)\n".encode())
                self._dropped = 0
            self._lines.put_nowait(line.encode(errors="replace") + b"\n")
        except queue.Full:
            self._dropped += 1

    def close(self, timeout_s: float = 1.0) -> None:
        """Print what is waiting, for at most `timeout_s` seconds."""
        with suppress(queue.Full):
            self._lines.put(None, timeout=timeout_s)
        self._thread.join(timeout_s)

    def _print(self) -> None:
        while (line := self._lines.get()) is not None:
            with suppress(OSError, ValueError):  # the reader has gone: go on without one
                self._stream.write(line)
                if self._lines.empty():
                    self._stream.flush()
