"""What belongs to the person looking: the time zone, and how often live parts refresh."""

from zoneinfo import ZoneInfo

import streamlit as st

from engine.ui import format

REFRESH: dict[str, float | None] = {"Off": None, "2 s": 2, "5 s": 5, "30 s": 30}
_DEFAULT = "5 s"
_MOST_REMEMBERED = 1_000

_remembered: dict[str, str] = {}
"""Refresh choice by user name, so that it outlives a reload; forgotten with the process."""


def zone() -> ZoneInfo:
    """Return the zone of the viewer's browser; UTC when it does not say."""
    return format.zone(st.context.timezone)


def refresh(name: str) -> float | None:
    """Draw the refresh choice and return it in seconds, None for off. Remembered per person (`name`)."""
    st.session_state.setdefault("refresh", _remembered.get(name, _DEFAULT))
    chosen = st.segmented_control(
        "Refresh",
        list(REFRESH),
        key="refresh",
        required=True,
        label_visibility="collapsed",
        persist_state="session",
        help="How often the live parts of the pages refresh",
    )
    if chosen and _remembered.get(name) != chosen:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[name] = chosen
    return REFRESH[chosen or _DEFAULT]


def updated(at_ms: int, *, stale: bool = False) -> None:
    """Say when the data were read, in the viewer's zone."""
    where = zone()
    mark = ":orange-badge[:material/sync_problem: Stale] " if stale else ""
    st.caption(f"{mark}Last updated {format.clock_time(at_ms, where)} ({where.key})", help=format.utc(at_ms))


def when(at_ms: int | None, label: str = "") -> str:
    """Return a moment as Markdown: relative first, then the viewer's time."""
    if at_ms is None:
        return format.DASH
    return f"{label}{format.relative(at_ms)} ({format.moment(at_ms, zone())})"


def forget() -> None:
    """Forget every remembered choice; for tests."""
    _remembered.clear()
