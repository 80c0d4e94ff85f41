"""What a comparison shows: between the query and the page. Durations in milliseconds."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Statistic:
    """One statistic of both sides; `low` and `high` bound the relative change with 95 % confidence."""

    name: str
    before_ms: float
    after_ms: float
    change: float
    low: float
    high: float
    direction: str
    """`fell`, `rose`, `same` (no change beyond noise) or `unknown` (too few values)."""
    least_n: int
    """Values each side needs for it to be compared."""


@dataclass(frozen=True)
class Side:
    """One of the two distributions."""

    route: str
    start_ms: int
    end_ms: int
    n: int
    n_failed: int
    source: str
    bands: list[tuple[float, float, float]]
    """From, to (ms) and the share of the side that lies between."""


@dataclass(frozen=True)
class ComparisonData:
    """Two distributions and what changed from one to the other."""

    kind: str
    service: str
    """Empty: all services."""
    start_ms: int
    end_ms: int
    moment_ms: int | None
    """Of the change; None where two routes are compared."""
    deploys: list[str]
    """What was deployed at that moment."""
    zone: str
    made_at_ms: int
    owner: str
    verdict: str
    direction: str
    before: Side
    after: Side
    statistics: list[Statistic] = field(default_factory=list)
    """Empty where a side is."""
    least_n: int = 30
    replicates: int = 1_000
    resolution: float = 0.022
    """What two readings of the histogram may differ by for equal values."""
    n_dropped: int = 0
    """Events that were not recorded: a buffer was full, or a process was killed before it wrote."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ComparisonData":
        """Make the data again of its `asdict`."""
        made = {
            "before": Side(**data["before"]),
            "after": Side(**data["after"]),
            "statistics": [Statistic(**statistic) for statistic in data["statistics"]],
        }
        return cls(**{**data, **made})
