"""One unit of work while it runs: what the recorder is handed when it ends."""

from enum import IntFlag
from typing import Any

from engine import clock
from engine.lib.trace import Trace

HTTP = "http"
STREAM = "stream"
RUN = "run"
FRAGMENT = "fragment"
TASK = "task"
WAIT = "wait"
CALL = "call"
QUERY = "query"
BANDED = frozenset({HTTP, RUN, FRAGMENT})
"""Kinds somebody waits for in front of a screen: classified by Apdex; the others are good or failed."""

GOOD, WARNING, CRITICAL = 0, 1, 2

AFTER = "after_us"
"""In the detail of a request: how long its background tasks went on after the last byte."""


class Heavy(IntFlag):
    """What makes a unit heavy; stored as bits."""

    REPEATED_QUERY = 1
    MANY_QUERIES = 2
    DATABASE_SHARE = 4
    RENDER = 8
    CALL = 16
    BLOCKING_QUERY = 32
    LARGE_RESPONSE = 64
    STAMPEDE = 128


class Unit:
    """Facts about one unit; times in microseconds. Plain attributes: made on the path of each request."""

    __slots__ = (
        "after",
        "at_ms",
        "correlation_id",
        "detail",
        "duration_us",
        "error",
        "failed",
        "kind",
        "method",
        "name",
        "outcome",
        "own_ns",
        "parent_id",
        "path",
        "response_bytes",
        "role",
        "service",
        "status",
        "trace",
        "user",
        "wait_us",
    )

    def __init__(self, service: str, kind: str, name: str = "", trace: Trace | None = None) -> None:
        self.service = service
        self.kind = kind
        self.name = name
        self.trace = trace
        self.after: Trace | None = None
        """What went on after the last byte: recorded, but no part of the unit's figures."""
        self.method = ""
        self.outcome = ""
        """`2xx` and so on for requests, a word for the others; part of the series."""
        self.at_ms = clock.now_ms()
        self.duration_us = 0
        self.wait_us = 0
        self.status = 0
        self.failed = False
        self.error = ""
        """Class of the exception, or the code of the failure."""
        self.response_bytes = 0
        self.correlation_id = ""
        self.parent_id: str | None = None
        self.user: str | None = None
        self.role: str | None = None
        self.path = ""
        """The concrete path, kept with evidence only; never a query string: it may hold secrets."""
        self.detail: dict[str, Any] | None = None
        self.own_ns = 0
        """What measuring this unit cost on its own path."""


def classify(duration_us: int, target_ms: int, failed: bool) -> int:
    """Return the Apdex band: satisfied up to T, tolerating up to 4 T, frustrated above or when failed."""
    if failed or duration_us > 4_000 * target_ms:
        return CRITICAL
    return GOOD if duration_us <= 1_000 * target_ms else WARNING
