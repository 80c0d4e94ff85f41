"""What a performance summary shows: between the query and the page. Durations in milliseconds."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Totals:
    """One period in numbers. Percentiles are None without requests."""

    n: int = 0
    n_failed: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    apdex: float | None = None
    """(good + warning / 2) / all, from 0 to 1 (Apdex Alliance, 2007)."""

    @property
    def failed_share(self) -> float | None:
        return self.n_failed / self.n if self.n else None


@dataclass(frozen=True)
class Bucket:
    """One interval of the series."""

    start_ms: int
    n: int
    n_failed: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class Route:
    """One route, page or task type over the whole period."""

    name: str
    method: str
    n: int
    n_failed: int
    p50: float
    p95: float
    max: float
    share: float
    """Its part of the time of everything of its kind, from 0 to 1."""
    service: str = ""
    """Empty where all that is listed belongs to one."""


@dataclass(frozen=True)
class PerformanceData:
    """A period of one service, with the equally long period before it."""

    start_ms: int
    end_ms: int
    bucket_ms: int
    zone: str
    made_at_ms: int
    target_ms: int
    """T of the Apdex, unless a route has its own."""
    service: str = ""
    """Empty: all services."""
    drawn_from_ms: int = 0
    """Where the charts begin: later than the period where little of it was recorded."""
    requests: Totals = Totals()
    before: Totals = Totals()
    buckets: list[Bucket] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    """By total time, the largest first."""
    has_more_routes: bool = False
    pages: list[Route] = field(default_factory=list)
    tasks: list[Route] = field(default_factory=list)
    n_dropped: int = 0
    """Events that were not recorded: a buffer was full, or a process was killed before it wrote."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "PerformanceData":
        """Make the data again of its `asdict`."""
        made = {
            "requests": Totals(**data["requests"]),
            "before": Totals(**data["before"]),
            "buckets": [Bucket(**bucket) for bucket in data["buckets"]],
            **{name: [Route(**route) for route in data[name]] for name in ("routes", "pages", "tasks")},
        }
        return cls(**{**data, **made})
