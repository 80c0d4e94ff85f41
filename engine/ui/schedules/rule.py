"""A cron rule while it is typed: what it means, when it runs, how often, and where it is wrong."""

from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import pyarrow as pa
import streamlit as st

from engine import clock
from engine.errors import InvalidInput
from engine.lib.cron import zones
from engine.services import cron
from engine.ui import charts, format, viewer

EXAMPLES = {
    "Every 15 minutes": "*/15 * * * *",
    "Every hour": "@hourly",
    "Every night": "30 2 * * *",
    "Weekday mornings": "0 7 * * mon-fri",
    "Mondays": "0 9 * * mon",
    "First of the month": "0 6 1 * *",
}
_TYPING_PAUSE = "150ms"
_NEXT_RUNS = 10
_ROW_PX = 20
_DAY_S, _HOUR_S = 86_400, 3_600


def ask(key: str, *, text: str = "", zone: str = "") -> None:
    """Draw expression, zone and preview; the values are then at `value(key)`. Belongs into a fragment."""
    st.session_state.setdefault(f"{key}-cron", text or "0 7 * * mon-fri")
    st.session_state.setdefault(f"{key}-zone", zone or viewer.zone().key)
    left, right = st.columns([3, 2])
    with left:
        st.text_input(
            "Rule",
            key=f"{key}-cron",
            live=_TYPING_PAUSE,
            max_chars=256,
            help="Five fields: minute, hour, day of month, month, weekday; or @daily and the like. "
            "Names such as mon and jan, lists, ranges and steps are understood.",
        )
    with right:
        st.selectbox("Time zone", _zones(st.session_state[f"{key}-zone"]), key=f"{key}-zone")
    with st.container(horizontal=True, gap="xsmall"):
        for label, example in EXAMPLES.items():
            st.button(
                label,
                key=f"{key}-{label}",
                type="tertiary",
                help=f"`{example}`",
                on_click=st.session_state.__setitem__,
                args=(f"{key}-cron", example),
            )
    draw(*value(key), key=key)


def value(key: str) -> tuple[str, str]:
    """Return what was typed: expression and zone."""
    return st.session_state.get(f"{key}-cron", ""), st.session_state.get(f"{key}-zone", "UTC")


def draw(text: str, zone: str, *, key: str) -> None:
    """Draw the preview of an expression, or what is wrong with it and where."""
    try:
        found = cron.preview(text, zone, _NEXT_RUNS)
    except InvalidInput as error:
        fault(text, error)
        return
    st.markdown(f":green[:material/check_circle:] **{format.plain(found.description)}**")
    for remark in found.remarks:
        st.caption(f":material/info: {format.plain(remark)}")
    left, right = st.columns([3, 2])
    with left:
        _runs(found, zone)
    with right:
        _facts(found)
    charts.card(
        _heat(),
        _week(found),
        title="Runs to come by hour, today and the next six days",
        note=f"After {found.since:%a %d %b %Y, %H:%M}, hours of {zone}; clock changes left out",
        key=f"{key}-week",
        height=7 * _ROW_PX + 60,
    )


def fault(text: str, error: InvalidInput) -> None:
    """Draw the message at the character that is wrong."""
    if error.position is not None and text.strip() and text.isprintable():
        st.code(f"{text}\n{' ' * error.position}^", language=None)
    st.error(format.plain(error.message), icon=":material/error:")


def span(seconds: int | None) -> str:
    """Write a gap between runs."""
    return format.DASH if seconds is None else format.duration(seconds * 1000)


def _runs(found: cron.Preview, zone: str) -> None:
    mine = viewer.zone()
    now_ms = clock.now_ms()
    at_ms = [clock.to_ms(due.at) for due in found.runs]
    columns = {
        f"Next runs ({zone})": [f"{due.at:%a %d %b %Y, %H:%M}" for due in found.runs],
        f"Yours ({mine.key})": [f"{due.at.astimezone(mine):%a %d %b, %H:%M}" for due in found.runs],
        "When": [format.relative(at, now_ms) for at in at_ms],
    }
    if zone == mine.key:
        del columns[f"Yours ({mine.key})"]
    if any(due.note for due in found.runs):
        columns["Clock change"] = [due.note for due in found.runs]
    if found.runs:
        st.dataframe(pa.table(columns), hide_index=True, height="content")
    if found.truncated:
        st.caption("No more within 365 days." if found.runs else "None within 365 days.")


def _facts(found: cron.Preview) -> None:
    counted = found.frequency
    with st.container(border=True, gap="xsmall"):
        st.markdown(
            f"**{format.count(counted.per_year)}** runs in the next 365 days, "
            f"on {format.plural(counted.days_per_year, 'day')}"
        )
        st.caption(
            f"{counted.per_day} on such a day, {counted.per_hour} in such an hour  \n"
            f"Usual gap {span(counted.usual_gap_s)}, shortest {span(counted.shortest_gap_s)}, "
            f"longest {span(counted.longest_gap_s)}  \n"
            f"Busiest: {_hours(counted.busiest_hours)}"
        )


def _hours(hours: tuple[int, ...]) -> str:
    if not hours:
        return "no run in this time"
    if len(hours) == 24:
        return "all hours alike"
    shown = ", ".join(f"{hour:02}:00" for hour in hours[:6])
    return f"{shown} and {len(hours) - 6} more" if len(hours) > 6 else shown


def _week(found: cron.Preview) -> pa.Table:
    days = [_day(found.since + timedelta(days=i)) for i in range(7)]
    return pa.table(
        {
            "Day": [day for day in days for _ in range(24)],
            "Hour": [f"{hour:02}" for _ in days for hour in range(24)],
            "Runs": [n for row in found.week for n in row],
        }
    )


def _day(day: date) -> str:
    return f"{day:%a %d}"


@lru_cache(maxsize=1)
def _heat() -> dict[str, Any]:
    """Return the heat map's specification; an hour without a run stays empty.

    Each label stands at the middle of its row or column, and hours go unlabelled where there is no room.
    """
    axis = {"ticks": False, "domain": False, "labelAngle": 0, "labelFlush": False}
    return {
        "height": 200,
        "mark": {"type": "rect", "cornerRadius": 2, "stroke": None},
        "encoding": {
            "x": {
                "field": "Hour",
                "type": "ordinal",
                "title": "Hour of the day",
                "axis": axis | {"labelOverlap": "parity", "labelSeparation": 4},
            },
            "y": {
                "field": "Day",
                "type": "ordinal",
                "title": None,
                "sort": None,
                "axis": axis | {"labelOverlap": False},
            },
            "color": {
                "condition": {"test": "datum.Runs === 0", "value": "transparent"},
                "field": "Runs",
                "type": "quantitative",
                "title": "Runs",
                "scale": {"domainMin": 0},
                "legend": {"tickMinStep": 1, "format": "d"},
            },
            "tooltip": [{"field": name} for name in ("Day", "Hour", "Runs")],
        },
    }


@lru_cache(maxsize=64)
def _zones(chosen: str) -> list[str]:
    """Return the zones that are places, UTC first, and whichever is chosen."""
    places = [n for n in zones.names() if "/" in n and not n.startswith(("Etc/", "SystemV/"))]
    return list(dict.fromkeys(["UTC", chosen, *places]))
