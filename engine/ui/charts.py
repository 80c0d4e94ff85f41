"""Charts, authored once in Altair and drawn many times.

Authoring and validating a chart in Altair costs 12 ms each time it is shown; handing Vega-Lite a finished
specification with an Arrow table costs 0.3 ms. So a specification is made once per kind of chart and zone,
without data, and kept. Rows come as a *wide* Arrow table: a time column `at` and one column per series. The
same table is the chart, its table view and its CSV.

Use `lines`, `bars` or `ranking`; for another kind write a function that returns a specification, decorate it
with `lru_cache`, and give it to `card`. Colours come from the theme unless a series names its own.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import altair as alt
import pyarrow as pa
import pyarrow.csv
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.column_types import ColumnConfig

from engine.ui import format, viewer

MOST_SERIES = 7
HEIGHT_PX = 270
Window = tuple[int, int] | None
Chart = TypeVar("Chart", alt.Chart, alt.LayerChart)

_SHORT_LABEL_CHARS = 12
"""Three labels of this length stand beside each other on a telephone."""

_TIME_LABEL = (
    "hours(datum.value) == 0 && minutes(datum.value) == 0"
    " ? timeFormat(datum.value, '%-d %b') : timeFormat(datum.value, '%H:%M')"
)


_MS_LABEL = (
    "datum.value >= 1000 ? format(datum.value / 1000, ',~g') + ' s' : format(datum.value, '~g') + ' ms'"
)
_COUNT_LABEL = "datum.value >= 100000 ? format(datum.value, '~s') : format(datum.value, ',~g')"


@dataclass(frozen=True)
class Series:
    """One line or one part of a bar: its column, its name in the legend, and its colour if it has one."""

    column: str
    label: str
    hex: str | None = None


PERCENTILES = (Series("p50_ms", "p50"), Series("p95_ms", "p95"), Series("p99_ms", "p99"))
BANDS = (
    Series("n_good", "Good", "#2FA866"),
    Series("n_warning", "Warning", "#E0A93A"),
    Series("n_critical", "Critical", "#E0525B"),
)


def lines(
    rows: pa.Table, series: Sequence[Series], *, title: str, y: str, key: str, note: str = "", empty: str = ""
) -> None:
    """Draw values over time, one line a series; a null value leaves a gap. `y` names quantity and unit."""
    spec = lines_spec(viewer.zone().key, tuple(series), y)
    card(spec, named(rows, series), title=title, key=key, note=note, empty=empty)


def bars(
    rows: pa.Table, series: Sequence[Series], *, title: str, y: str, key: str, note: str = "", empty: str = ""
) -> None:
    """Draw counts over time as stacked bars from `at` to `until`, one part a series."""
    spec = bars_spec(viewer.zone().key, tuple(series), y)
    card(spec, named(rows, series), title=title, key=key, note=note, empty=empty)


def ranking(
    rows: pa.Table, value: Series, *, title: str, label: str, key: str, note: str = "", empty: str = ""
) -> None:
    """Draw one bar a row, longest first; column `name` says what it is, `label` names that kind of thing."""
    spec = _ranking(value, label, rows.num_rows)
    card(spec, named(rows, (Series("name", label), value)), title=title, key=key, note=note, empty=empty)


def card(
    spec: dict[str, Any],
    rows: pa.Table,
    *,
    title: str,
    key: str,
    note: str = "",
    empty: str = "",
    height: int | None = None,
    window: Window = None,
) -> None:
    """Draw a titled card with the chart, or the same rows as a table, and a CSV download beside it.

    `note` states window, source and bounds under the title; `empty` is what to say when there are no rows.
    `window` is the first and last moment (ms) of the time axis, for a chart of one layer whose rows do not
    reach from end to end, so that the charts of one page line up.
    """
    rows_of = (lambda: rows) if rows.num_rows else None
    frame(title, key=key, note=note, rows=rows_of).draw(spec, rows, empty=empty, height=height, window=window)


@dataclass(frozen=True)
class Frame:
    """A card without its chart: drawn with the page, filled again at each refresh."""

    body: DeltaGenerator
    view: str
    alt: str

    def draw(
        self,
        spec: dict[str, Any],
        rows: pa.Table,
        *,
        empty: str = "",
        height: int | None = None,
        window: Window = None,
    ) -> None:
        """Put the chart, or its rows as a table, into the card in place of what was there."""
        if not rows.num_rows:
            self.body.caption(f":material/insights: {empty or 'Nothing was recorded in this period.'}")
        elif self.view == "chart":
            spec = _within(spec, window)
            chosen = {**spec, "height": height or spec["height"]}
            self.body.vega_lite_chart(rows, chosen, width="stretch", alt=self.alt)
        else:
            config = _columns(rows, _unit(spec))
            self.body.dataframe(
                rows, hide_index=True, height=HEIGHT_PX, column_config=config, placeholder=format.DASH
            )


def frame(title: str, *, key: str, rows: Callable[[], pa.Table] | None, note: str = "") -> Frame:
    """Draw a card with its title, note and tools, and return it for its chart.

    On a page that refreshes by itself, call this outside the live part and `draw` inside it: what a refresh
    draws costs 0.4 ms an element and person. `rows` is asked for when somebody wants the CSV; without it the
    card has no tools.
    """
    with st.container(border=True, gap="xsmall", key=f"chart-{key}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{title}**", width="content")
            view = _toolbar(rows, key) if rows else "chart"
        if note:
            st.caption(note)
        return Frame(st.empty(), view, f"{title}. {note}".strip())


def named(rows: pa.Table, series: Sequence[Series]) -> pa.Table:
    """Keep the time columns and the series, under the names people read."""
    kept = [(name, name) for name in ("at", "until") if name in rows.column_names]
    kept += [(s.column, s.label) for s in series]
    return pa.table({label: rows.column(column) for column, label in kept})


def warm() -> None:
    """Author one chart of each kind, for Altair reads its schema at the first."""
    lines_spec("UTC", PERCENTILES, "Duration (ms)")
    bars_spec("UTC", BANDS, "Count")


def csv(rows: pa.Table) -> bytes:
    """Write rows as CSV with ISO 8601 times in UTC."""
    sink = io.BytesIO()
    pyarrow.csv.write_csv(rows, sink)
    return sink.getvalue()


def _within(spec: dict[str, Any], window: Window) -> dict[str, Any]:
    """Return a specification whose time axis spans a window; the kept one is not touched."""
    if window is None:
        return spec
    encoding = spec["encoding"]
    return {**spec, "encoding": {**encoding, "x": {**encoding["x"], "scale": {"domain": list(window)}}}}


def csv_button(rows: Callable[[], pa.Table], *, key: str) -> None:
    """Draw a button that downloads rows as CSV; `rows` is asked when it is pressed."""
    st.download_button(
        "CSV",
        data=lambda: csv(rows()),
        file_name=f"{key}.csv",
        mime="text/csv",
        key=f"{key}-csv",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        help="Download these rows; times are UTC",
    )


def _toolbar(rows: Callable[[], pa.Table], key: str) -> str:
    with st.container(horizontal=True, width="content", vertical_alignment="center", gap="small"):
        view = st.segmented_control(
            "View",
            ["chart", "table"],
            default="chart",
            required=True,
            format_func={"chart": ":material/show_chart:", "table": ":material/table_rows:"}.__getitem__,
            key=f"{key}-view",
            label_visibility="collapsed",
            persist_state="session",
        )
        csv_button(rows, key=key)
    return view or "chart"


def _unit(spec: dict[str, Any]) -> str:
    """Return the unit of a chart's series, as the title of its axis ends in it: ` (ms)`, or nothing."""
    layers = spec.get("layer") or [spec]
    title = str(layers[0].get("encoding", {}).get("y", {}).get("title") or "")
    return " (ms)" if title.endswith("(ms)") else ""


def _columns(rows: pa.Table, unit: str) -> dict[str, ColumnConfig | None]:
    """Name the columns of a chart's table as people read them, with their units."""
    where = viewer.zone().key
    found: dict[str, ColumnConfig | None] = {}
    for name, kind in zip(rows.column_names, rows.schema.types, strict=True):
        if name in _TIMES:
            title = _TIMES[name].format(where)
            found[name] = st.column_config.DatetimeColumn(title, format="D MMM, HH:mm", timezone=where)
        elif name in _SHARES:
            found[name] = st.column_config.NumberColumn(_SHARES[name], format="percent")
        elif pa.types.is_floating(kind):
            title = _TITLES.get(name, name if name.endswith(")") else f"{name}{unit}")
            found[name] = st.column_config.NumberColumn(title, format="localized")
        else:
            found[name] = st.column_config.Column(_TITLES.get(name, name))
    if "order" in found:  # of use to the drawing alone
        found["order"] = None
    return found


_TIMES = {"at": "From ({})", "until": "Until", "end": "Until"}
_SHARES = {"share": "Share", "cumulated": "Up to here"}
_TITLES = {"low": "From (ms)", "high": "To (ms)", "n": "Count", "deploy": "Deployed", "side": "Side"}


_NEIGHBOURS = {
    "window": [
        {"op": op, "field": "value", "as": name} for op, name in (("lag", "before"), ("lead", "after"))
    ],
    "groupby": ["series"],
    "sort": [{"field": "at"}],
}


@lru_cache(maxsize=256)
def lines_spec(zone: str, series: tuple[Series, ...], y: str) -> dict[str, Any]:
    """Return the specification of `lines`, for a chart that adds a layer to a copy of it."""
    base = alt.Chart().encode(
        x=time_axis(zone),
        y=alt.Y("value:Q", title=y, axis=value_axis(y)),
        color=_color(series),
        tooltip=_tooltip(y, ",.3~f"),
    )
    line = base.mark_line(strokeWidth=2)
    lone = base.mark_point(size=22, filled=True, opacity=1).transform_filter(
        "isValid(datum.value) && !isValid(datum.before) && !isValid(datum.after)"
    )
    # A line needs two points, so a value between two gaps is drawn as one; wide unseen points carry tooltips.
    points = base.mark_point(size=90, opacity=0, filled=True)
    layers = alt.LayerChart(data=alt.NamedData("rows"), layer=[line, lone, points])
    spec = finished(_fold(layers, series))
    spec["transform"].append(_NEIGHBOURS)
    return spec


@lru_cache(maxsize=256)
def bars_spec(zone: str, series: tuple[Series, ...], y: str) -> dict[str, Any]:
    """Return the specification of `bars`, for a card that is filled at each refresh."""
    chart = (
        alt.Chart(alt.NamedData("rows"))
        .mark_bar(binSpacing=1)
        .encode(
            x=time_axis(zone, bin="binned"),
            x2="until",
            y=alt.Y("value:Q", title=y, stack="zero", axis=value_axis(y, tickMinStep=1)),
            color=_color(series),
            order=alt.Order("rank:Q"),
            tooltip=_tooltip(y, ",~f"),
        )
    )
    return finished(_fold(chart, series))


@lru_cache(maxsize=256)
def _ranking(value: Series, label: str, n_rows: int) -> dict[str, Any]:
    chart = (
        alt.Chart(alt.NamedData("rows"), height=max(60, 26 * n_rows + 40))
        .mark_bar(cornerRadiusEnd=3, height={"band": 0.7})
        .encode(
            y=alt.Y(
                f"{label}:N", sort="-x", title=None, axis=alt.Axis(labelLimit=260, ticks=False, domain=False)
            ),
            x=alt.X(f"{value.label}:Q", axis=alt.Axis(tickCount=5, format="~s")),
            tooltip=[alt.Tooltip(f"{label}:N"), alt.Tooltip(f"{value.label}:Q", format=",.3~f")],
        )
    )
    return finished(chart)


def _fold(chart: Chart, series: tuple[Series, ...]) -> Chart:
    """Turn columns into rows in the browser, where it costs us nothing."""
    if len(series) > MOST_SERIES:
        raise ValueError(f"at most {MOST_SERIES} series can be told apart; keep the largest, sum the others")
    labels: list[str | alt.FieldName] = [s.label for s in series]
    folded: Chart = chart.transform_fold(labels, as_=["series", "value"]).transform_calculate(
        rank=f"indexof({labels!r}, datum.series)", utc="utcFormat(datum.at, '%Y-%m-%d %H:%M') + ' UTC'"
    )
    return folded


def value_axis(title: str, **options: Any) -> alt.Axis:
    """Return an axis of counts, or of durations, whose labels carry their unit, if its title ends in (ms)."""
    labels = _MS_LABEL if title.endswith("(ms)") else _COUNT_LABEL
    return alt.Axis(tickCount=5, labelExpr=labels, **options)


def log_axis(scale: str = "x", **options: Any) -> alt.Axis:
    """Return a logarithmic axis of durations (ms): a line a decade, or 1, 2 and 5 of each where few fit."""
    decades = [10.0**power for power in range(-3, 7)]
    finer = sorted(step * decade for decade in decades for step in (1, 2, 5))
    values = alt.ExprRef(f"domain('{scale}')[1] / domain('{scale}')[0] < 200 ? {finer} : {decades}")
    return alt.Axis(values=values, labelExpr=_MS_LABEL, labelOverlap=True, **options)


def time_axis(zone: str, **options: Any) -> alt.X:
    """Return the axis of column `at`: 24-hour times in the viewer's zone, which its title names."""
    axis = alt.Axis(labelExpr=_TIME_LABEL, grid=False, labelOverlap=True, tickCount=8, labelFlush=True)
    return alt.X("at:T", title=f"Time ({zone})", axis=axis, **options)


def _color(series: tuple[Series, ...]) -> alt.Color:
    labels = [s.label for s in series]
    if all(s.hex for s in series):
        scale = alt.Scale(domain=labels, range=[s.hex or "" for s in series])
    else:
        scale = alt.Scale(domain=labels)
    short = max(map(len, labels)) <= _SHORT_LABEL_CHARS
    columns = 3 if short and len(labels) != 4 else 2  # four stand better two by two than three and one
    legend = alt.Legend(orient="top", symbolType="circle", offset=4, columns=columns, labelLimit=220)
    return alt.Color("series:N", title=None, scale=scale, legend=legend)


def _tooltip(y: str, number: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("series:N", title="Series"),
        alt.Tooltip("value:Q", title=y, format=number),
        alt.Tooltip("at:T", title="Time", format="%-d %b %Y, %H:%M"),
        alt.Tooltip("utc:N", title="UTC"),
    ]


def finished(chart: alt.Chart | alt.LayerChart) -> dict[str, Any]:
    """Return the specification without its data, which `st.vega_lite_chart` is given beside it."""
    spec: dict[str, Any] = chart.to_dict()
    for given_elsewhere in ("data", "config"):
        spec.pop(given_elsewhere, None)
    return {"height": HEIGHT_PX, "padding": {"left": 0, "top": 4, "right": 8, "bottom": 0}, **spec}
