"""What a field of a form may be answered with: services, routes and deploys that were recorded."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine import clock
from engine.queries import performance
from engine.queries.performance import Selection
from engine.ui import format, narrowing, shared, viewer
from engine.ui import performance as parts

_NEWEST = 50
_BUSY_IN = "24h"


def of(widget: str, given: Mapping[str, Any]) -> dict[str, str] | None:
    """Return values and what to call them, by the name of a widget; None for a widget that suggests nothing.

    `given` has what was answered before: `kind` and `service`.
    """
    kind, service = given.get("kind") or "http", given.get("service") or None
    where = viewer.zone()
    queries: dict[str, Callable[[], dict[str, str]]] = {
        "service": lambda: {name: name for name in performance.services()},
        "route": lambda: {label: label for label in routes(_BUSY_IN, kind, service)},
        "deploy": lambda: _deploys(service, where),
    }
    if widget not in queries:
        return None
    return shared.read((widget, kind, service, where.key), narrowing.NAMES_S, queries[widget])


def routes(period: str, kind: str, service: str | None) -> list[str]:
    """Return the routes as people read them: those that took most time in the period first."""
    ever = performance.last("13mo", kind=kind, service=service)
    names = [f"{method} {name}".strip() for _, name, method in performance.names(ever)]
    chosen = narrowing.selection(period, kind=kind, service=service)
    busiest = parts.slowest(chosen, "total").table.column("label").to_pylist()
    return list(dict.fromkeys([label for label in busiest if label in names] + names))


def deploy(service: str, version: str, at: datetime, where: ZoneInfo) -> str:
    """Say what was deployed when: without "5 min ago", since a choice is lost when its label changes."""
    return f"{service} {version}, {format.moment(clock.to_ms(at), where)}"


def _deploys(service: str | None, where: ZoneInfo) -> dict[str, str]:
    """Return the newest mark of each version: the report takes that one."""
    marks = performance.deploys(Selection(0, clock.now_ms(), service=service)).to_pylist()
    found: dict[str, str] = {}
    for mark in marks[: -_NEWEST - 1 : -1]:
        found.setdefault(mark["version"], deploy(mark["service"], mark["version"], mark["at"], where))
    return found
