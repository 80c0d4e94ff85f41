"""Before and after: two distributions beside each other, what changed, and the verdict."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import altair as alt
import pyarrow as pa
import streamlit as st
import vl_convert

from engine.queries.performance import Change, Comparison
from engine.queries.performance.wording import interval, percent
from engine.ui import charts, format
from engine.ui.performance import provenance

_TITLES = {"mean": "Mean", "p50": "Median", "p95": "p95", "p99": "p99"}
_LOOKS = {
    "fell": (":green[:material/trending_down:]", "green"),
    "rose": (":red[:material/trending_up:]", "red"),
    "same": (":gray[:material/trending_flat:]", "gray"),
    "unknown": (":gray[:material/help:]", "gray"),
}
MIN_METRIC_PX = 360
"""Two beside each other: three and one would look as if the last were something else."""
_BEFORE, _AFTER = "#8594A3", "#1593AB"


def draw(found: Comparison, order: Callable[[], None] = lambda: None) -> None:
    """Draw a comparison: verdict, statistics, both distributions, the numbers as a table.

    `order` draws one more button beside those that take it along.
    """
    icon, color = _LOOKS[found.direction]
    with st.container(border=True):
        st.markdown(f"{icon} :{color}[**{format.plain(found.verdict)}**]")
        if found.direction == "unknown":
            st.caption("Wait for more traffic, or choose a longer period.")
    if not found.changes:
        return
    with st.grid("auto", min_column_width=MIN_METRIC_PX, gap="small") as grid:
        for change in found.changes:
            with grid.cell():
                _metric(change)
    charts.card(
        _overlaid(),
        _both(found),
        title="Both distributions",
        note=f"{_side(found.label_before)}: n = {format.count(found.n_before)}. "
        f"{_side(found.label_after)}: n = {format.count(found.n_after)}. Shares of each side.",
        key="before-after",
    )
    numbers = table(found)
    st.dataframe(numbers, hide_index=True, key="before-after-numbers")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(
            f"Before: {provenance(found.sources[0])}  \nAfter: {provenance(found.sources[1])}  \n"
            "Intervals: bootstrap with 1,000 replicates, 95 %.",
            width="content",
        )
        with st.container(horizontal=True, width="content", gap="small"):
            charts.csv_button(lambda: numbers, key="before-after-numbers")
            for form in ("svg", "png"):
                _picture_button(found, form)
            order()


def table(found: Comparison) -> pa.Table:
    """Return the statistics of both sides as rows."""
    return pa.table(
        {
            "Statistic": [_TITLES[c.statistic] for c in found.changes],
            "Before (ms)": [round(c.before_ms, 3) for c in found.changes],
            "After (ms)": [round(c.after_ms, 3) for c in found.changes],
            "Change": [percent(c.change) for c in found.changes],
            "95 % interval": [
                f"{interval(c.low, c.high)} %" if c.enough else "too few values" for c in found.changes
            ],
        }
    )


def picture(found: Comparison, form: str) -> bytes:
    """Return the chart of both distributions, with the verdict as its title, as `svg` or `png`."""
    title = {"text": found.verdict, "anchor": "start", "fontSize": 13, "offset": 12}
    rows = _both(found).to_pylist()
    spec = {**_overlaid(), "data": {"values": rows}, "width": 760, "title": title, "background": "white"}
    if form == "png":
        return bytes(vl_convert.vegalite_to_png(spec, scale=2))
    return str(vl_convert.vegalite_to_svg(spec)).encode()


def _picture_button(found: Comparison, form: str) -> None:
    st.download_button(
        form.upper(),
        data=lambda: picture(found, form),
        file_name=f"before-after.{form}",
        mime={"svg": "image/svg+xml", "png": "image/png"}[form],
        key=f"before-after-{form}",
        icon=":material/image:",
        type="tertiary",
        on_click="ignore",
    )


def _metric(change: Change) -> None:
    st.metric(
        _TITLES[change.statistic],
        f"{format.duration(change.before_ms)} → {format.duration(change.after_ms)}",
        percent(change.change) if change.enough else "too few values",
        delta_color="inverse" if change.direction in ("fell", "rose") else "off",
        delta_arrow="auto" if change.enough else "off",
        border=True,
        width="stretch",
        height="stretch",
        help=None if change.enough else "Too few values to compare this.",
    )


def _side(label: str) -> str:
    return label[:1].upper() + label[1:]


def _both(found: Comparison) -> pa.Table:
    sides = [(f"1 {_side(found.label_before)}", found.before), (f"2 {_side(found.label_after)}", found.after)]
    rows = [row | {"side": label} for label, chart in sides for row in chart.table.to_pylist()]
    return pa.table(
        {
            "side": pa.array([row["side"] for row in rows], pa.string()),
            "low": pa.array([max(row["low"], 0.001) for row in rows], pa.float64()),
            "high": pa.array([row["high"] for row in rows], pa.float64()),
            "n": pa.array([row["n"] for row in rows], pa.int64()),
            "share": pa.array([row["share"] for row in rows], pa.float64()),
        }
    )


@lru_cache(maxsize=1)
def _overlaid() -> dict[str, Any]:
    chart = (
        alt.Chart(alt.NamedData("rows"))
        .mark_rect(opacity=0.6, stroke=None)
        .encode(
            x=alt.X("low:Q", title="Duration (ms)", scale=alt.Scale(type="log"), axis=charts.log_axis()),
            x2="high",
            y=alt.Y(
                "share:Q", title="Share of its side", stack=None, axis=alt.Axis(format=".0%", tickCount=5)
            ),
            y2=alt.datum(0),
            color=alt.Color(
                "side:N",
                title=None,
                scale=alt.Scale(range=[_BEFORE, _AFTER]),
                legend=alt.Legend(orient="top", labelExpr="slice(datum.label, 2)", labelLimit=320),
            ),
            tooltip=[
                alt.Tooltip("side:N", title="Side"),
                alt.Tooltip("low:Q", title="From (ms)", format=",.3~f"),
                alt.Tooltip("high:Q", title="To (ms)", format=",.3~f"),
                alt.Tooltip("n:Q", title="Count", format=","),
                alt.Tooltip("share:Q", title="Share", format=".1%"),
            ],
        )
    )
    return charts.finished(chart)
