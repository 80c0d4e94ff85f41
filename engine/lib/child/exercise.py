"""A job without a purpose of its own: takes time and memory, and fails on request."""

import time
from typing import Any

from engine import clock, errors
from engine.lib.child.inside import Channel

_SLICE_S = 0.02
_PAGE_BYTES = 4096


def exercise(argument: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Take `memory_mb`, stay for `sleep_ms`, then fail with `fail` or return what was asked.

    `fail` is the message of a transient failure.
    """
    memory = bytearray(int(argument.get("memory_mb", 0)) * 1024 * 1024)
    for at in range(0, len(memory), _PAGE_BYTES):
        memory[at] = 1  # only a page that was written to is really there
    started, whole = clock.elapsed(), int(argument.get("sleep_ms", 0)) / 1000
    while (left := whole - (clock.elapsed() - started)) > 0:
        time.sleep(min(left, _SLICE_S))
        channel.progress(99 * min(1, 1 - left / whole), "sleeping")
    if argument.get("fail"):
        raise errors.TransientFailure(str(argument["fail"]))
    return {"memory_mb": len(memory) // (1024 * 1024), "slept_ms": round((clock.elapsed() - started) * 1000)}
