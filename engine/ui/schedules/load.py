"""The load forecast: all schedules together over the next seven days."""

import pyarrow as pa
import streamlit as st

from engine.services.schedules.forecast import Forecast
from engine.ui import charts, format, viewer

_HOUR_MS = 3_600_000
_MOST_INTERVALS = 10


def draw(found: Forecast) -> None:
    """Draw tasks and busy workers by the hour, the busiest minutes, and when the workers would be full."""
    where = viewer.zone()
    rows = _rows(found)
    st.markdown(
        f"**{format.count(found.total)}** tasks of {format.plural(found.n_schedules, 'schedule')} "
        "become due in the next 7 days."
    )
    _full(found)
    charts.bars(
        rows,
        [charts.Series("runs", "Tasks")],
        title="Tasks becoming due, per hour",
        note="From the plans; jitter and overlap rules left out",
        y="Tasks per hour",
        key="load-runs",
    )
    charts.lines(
        rows,
        [charts.Series("busy", "Busy at most"), charts.Series("threads", "Workers")],
        title="Workers kept busy, most in each hour",
        note=f"Median durations of 30 days, known for {found.n_measured} of "
        f"{format.plural(found.n_schedules, 'schedule')}; unscheduled work left out",
        y="Workers",
        key="load-busy",
    )
    st.subheader("Busiest minutes", anchor=False)
    busiest = found.busiest()
    st.dataframe(
        pa.table(
            {
                f"Minute ({where.key})": [format.moment(at, where, seconds=False) for at, _ in busiest],
                "Tasks": [n for _, n in busiest],
                "UTC": [format.utc(at) for at, _ in busiest],
            }
        ),
        hide_index=True,
        height="content",
    )


def _full(found: Forecast) -> None:
    intervals = found.full()
    if not found.n_threads:
        st.info("No worker is running now, so it cannot be said when they would be full.")
    elif not intervals:
        st.markdown(":green[:material/check_circle:] :green[The workers are never all busy.]")
    for begin, end in intervals[:_MOST_INTERVALS]:
        st.warning(
            f"All {format.plural(found.n_threads, 'worker')} would be busy from "
            f"{format.moment(begin, viewer.zone(), seconds=False)} for {format.duration(end - begin)}.",
            icon=":material/speed:",
        )
    if len(intervals) > _MOST_INTERVALS:
        st.caption(f"and {len(intervals) - _MOST_INTERVALS} more times")


def _rows(found: Forecast) -> pa.Table:
    hours = found.hours()
    at = pa.array([hour["at_ms"] for hour in hours], pa.int64())
    until = pa.array([hour["at_ms"] + _HOUR_MS for hour in hours], pa.int64())
    moment = pa.timestamp("ms", "UTC")
    return pa.table(
        {
            "at": at.cast(moment),
            "until": until.cast(moment),
            "runs": [hour["runs"] for hour in hours],
            "busy": [round(hour["busy"], 2) for hour in hours],
            "threads": [found.n_threads] * len(hours),
        }
    )
