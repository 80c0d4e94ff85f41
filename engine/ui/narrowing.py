"""What the performance pages look at: period, kind, service and route, kept in the address."""

from datetime import timedelta
from typing import Any

import streamlit as st

from engine import clock
from engine.errors import InvalidInput
from engine.queries import performance
from engine.queries.performance import Selection
from engine.queries.performance.wording import KINDS
from engine.ui import shared, viewer

PERIODS = {
    "15m": "15 min",
    "1h": "1 h",
    "6h": "6 h",
    "24h": "24 h",
    "7d": "7 d",
    "30d": "30 d",
    "13mo": "13 months",
}
CUSTOM = "Custom"
_QUARTER_MS = 900_000
NAMES_S = 10
"""How old the shared names of routes may be."""


def filters(*, routes: bool = True) -> dict[str, Any]:
    """Draw the filter, which lives in the address; return it as arguments of `selection`."""
    if picked := st.session_state.pop("performance-picked", None):
        st.session_state["route"] = picked
    words = {word: kind for kind, word in KINDS.items()}
    period = st.segmented_control(
        "Period",
        [*PERIODS.values(), CUSTOM],
        default=PERIODS["1h"],
        required=True,
        key="period",
        bind="query-params",
    )
    window = _custom() if period == CUSTOM else None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = words.get(_choice("What", list(words), key="what", width=220) or "", "http")
        service = _choice(
            "Service", performance.services(), key="service", width=180, placeholder="All services"
        )
        names = (
            shared.read(("names", kind, service), NAMES_S, lambda: _names(kind, service)) if routes else []
        )
        route = None
        if routes:
            route = _choice("Route or name", names, key="route", width=320, placeholder="All of them")
    return {
        "period": window or {word: key for key, word in PERIODS.items()}.get(period or "", "1h"),
        "kind": kind,
        "service": service,
        "name": route if route in names else None,
    }


def selection(period: str, **filters: Any) -> Selection:
    """Return the selection of a period as `filters` gives it: a key of `PERIODS`, or `start-end` in ms."""
    if period in PERIODS:
        return performance.last(period, **filters)
    start, _, end = period.partition("-")
    return performance.between(int(start), int(end), **filters)


def _custom() -> str | None:
    """Ask for a window of one's own, in the viewer's zone; None, with a word why, for one that cannot be."""
    where = viewer.zone()
    quarter_ms = clock.now_ms() // _QUARTER_MS * _QUARTER_MS + _QUARTER_MS
    last = clock.from_ms(quarter_ms).astimezone(where).replace(tzinfo=None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        start = st.datetime_input(
            "From", last - timedelta(hours=6), key="from", width=240, bind="query-params"
        )
        end = st.datetime_input("Until", last, key="until", width=240, bind="query-params")
        st.caption(f"Times in {where.key}")
    if start is None or end is None:
        return None
    start_ms, end_ms = (clock.to_ms(at.replace(tzinfo=where)) for at in (start, end))
    try:
        performance.between(start_ms, end_ms)
    except InvalidInput as error:
        st.warning(f"{error.message} Showing the last hour.")
        return None
    if end_ms <= start_ms:
        st.warning("The period ends before it begins. Showing the last hour.")
        return None
    return f"{start_ms}-{end_ms}"


def _choice(label: str, options: list[str], *, key: str, width: int, placeholder: str = "") -> str | None:
    found: str | None = st.selectbox(
        label,
        options,
        index=None if placeholder else 0,
        key=key,
        bind="query-params",
        placeholder=placeholder or None,
        width=width,
    )
    return found


def _names(kind: str, service: str | None) -> list[str]:
    chosen = performance.last("13mo", kind=kind, service=service)
    return list(dict.fromkeys(name for _, name, _ in performance.names(chosen)))
