"""Routes that are slower or faster today than in the same hours of the last seven days."""

from dataclasses import dataclass

import numpy as np

from engine.queries.performance import rows
from engine.queries.performance.comparison import Change, changes_between
from engine.queries.performance.selection import DAY_MS, HOUR_MS, Selection, series

DAYS = 7
CONFIDENCE = 0.99
"""Stricter than for a single comparison: every route is looked at every hour."""
LEAST_CHANGE = 0.2
"""A smaller change is no news, however certain."""


@dataclass(frozen=True)
class Regression:
    """A route whose p95 changed."""

    service: str
    kind: str
    name: str
    method: str
    n_before: int
    n_after: int
    change: Change


def regressions(now_ms: int, kind: str = "http") -> list[Regression]:
    """Compare the full hours since midnight UTC with the same hours of seven days, largest rise first."""
    midnight = now_ms - now_ms % DAY_MS
    until = now_ms - now_ms % HOUR_MS
    if until <= midnight:
        return []
    selection = Selection(midnight - DAYS * DAY_MS, until, kind)
    found = series(selection, each=True)
    routes = list(dict.fromkeys((s.service, s.name, s.method) for s in found))
    position = {route: number for number, route in enumerate(routes)}
    number = {s.id: position[s.service, s.name, s.method] for s in found}
    read = rows.read(selection, list(number), tier_ms=HOUR_MS)
    same_hours = read.bucket_at_ms % DAY_MS < until - midnight
    today = read.bucket_at_ms >= midnight
    spare = 2 * len(routes)  # a group of its own for the hours that are not compared
    group = np.array([number[i] for i in read.series_id.tolist()], dtype=np.int64) + today * len(routes)
    stack = read.stack(np.where(same_hours, group, spare), spare + 1)
    changed = []
    for route, at in position.items():
        before, after = stack.histogram(at), stack.histogram(at + len(routes))
        changes = changes_between(before, after, confidence=CONFIDENCE)
        p95 = next((c for c in changes if c.statistic == "p95" and c.enough), None)
        if p95 and p95.direction in ("fell", "rose") and abs(p95.change) >= LEAST_CHANGE:
            service, name, method = route
            changed.append(Regression(service, kind, name, method, before.count, after.count, p95))
    return sorted(changed, key=lambda r: -r.change.change)
