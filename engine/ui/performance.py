"""The parts of the Performance page: key figures, charts of time and distribution, the table of routes."""

from copy import deepcopy
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import altair as alt
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from engine import clock
from engine.queries import performance
from engine.queries.performance import Chart, Cost, Kpi, Selection, Source
from engine.ui import charts, format, narrowing, shared, viewer, widgets

ORDERS = {
    "total": "Total time",
    "p95": "p95",
    "mean": "Mean",
    "n": "Count",
    "errors": "Errors",
    "queries": "Queries",
}
_LABELS = {"requests": "Count", "queries": "Queries each"}
FRESH_S = 2
"""How old shared figures may be."""

_PERCENTILES = (charts.Series("p50", "p50"), charts.Series("p95", "p95"), charts.Series("p99", "p99"))
_BANDS = tuple(charts.Series(s.label.lower(), s.label, s.hex) for s in charts.BANDS)


def read(period: str, **filters: Any) -> dict[str, Any]:
    """Return everything the page shows, shared by all who look at the same."""

    def query() -> dict[str, Any]:
        chosen = narrowing.selection(period, **filters)
        read = performance.over_time(chosen)
        bands = _with_ends(performance.bands(read))
        deploys = performance.deploys(chosen.snapped())
        return {
            "overview": performance.overview(chosen),
            "bands": bands,
            "duration": _duration_rows(bands, deploys),
            "traffic": _traffic_rows(performance.traffic(read)),
            "heat": performance.heat_map(read),
            "spread": _spread_rows(performance.distribution(read)),
            "n_deploys": deploys.num_rows,
            "cost": performance.cost(chosen),
        }

    return shared.read(("performance", period, *sorted(filters.items())), FRESH_S, query)


def slowest(selection: Selection, by: str) -> Chart:
    """Return the table of routes, shared like the charts."""
    length_ms = selection.end_ms - selection.start_ms
    which = (selection.kind, selection.service, selection.name, selection.method)
    key = ("slowest", length_ms, selection.end_ms // (FRESH_S * 1000), *which, by)

    def query() -> Chart:
        found = performance.slowest(selection, by=by)  # type: ignore[arg-type]
        at = found.table.column_names.index("spark")
        return replace(found, table=found.table.set_column(at, "spark", _drawn(found.table.column("spark"))))

    return shared.read(key, FRESH_S, query)


def nothing_recorded() -> None:
    """Say that the choice shows nothing, and what to do."""
    widgets.nothing_yet(
        "Nothing was recorded for this choice",
        "Every request, page run and task attempt is recorded. "
        "Choose a longer period or another kind, or try `./offload demo`.",
        icon=":material/monitoring:",
    )


def figures(kpis: list[Kpi]) -> None:
    """Draw the key figures with their change against the period before."""
    with st.container(horizontal=True, gap="small"):
        for kpi in kpis:
            colors = {True: "normal", False: "inverse", None: "off"}
            st.metric(
                _LABELS.get(kpi.key, kpi.label),
                value(kpi),
                _change(kpi),
                delta_color=colors[kpi.higher_is_better],  # type: ignore[arg-type]
                border=True,
                height="stretch",
                width="stretch",
            )


def value(kpi: Kpi, number: float | None = None) -> str:
    """Format a key figure in its unit."""
    shown = kpi.value if number is None else number
    if shown is None:
        return format.DASH
    if kpi.unit == "ms":
        return format.duration(shown)
    if kpi.unit == "%":
        return format.percent(shown, 2 if 0 < shown < 0.01 else 1)
    return format.count(shown) if kpi.key == "requests" else f"{shown:.2f}"


def provenance(source: Source) -> str:
    """Say what the numbers stand on: window, count, source, bound and whether rows were left out."""
    where = viewer.zone()
    start, end = (format.moment(at, where, seconds=False) for at in (source.start_ms, source.end_ms))
    capped = f" · the first {source.limit}" if source.capped else ""
    bound = f"percentiles within {source.relative_error * 100:.1f} %"
    return f"{start} to {end} · n = {format.count(source.n)} · {source.source} · {bound}{capped}"


def framed(found: dict[str, Any]) -> tuple[int, ...]:
    """Return what the cards say of the data: if it changes, they are drawn anew. Empty: nothing to draw."""
    if not found["overview"].source.n:
        return ()
    return found["bands"].step_ms, found["heat"].step_ms, found["n_deploys"]


def frames(found: dict[str, Any], **chosen: Any) -> dict[str, charts.Frame]:
    """Draw the cards of the four charts, two beside each other; `fill` fills them at each refresh."""
    step, n_deploys = _per(found["bands"].step_ms), found["n_deploys"]
    marked = f"; {format.plural(n_deploys, 'deploy')} marked" if n_deploys else ""
    notes = {
        "duration": ("Duration", f"Percentiles, {step}{marked}"),
        "traffic": ("Traffic", f"By Apdex class, {step}"),
        "heat": (
            "Where durations lie",
            f"Count {_per(found['heat'].step_ms)}; both scales are logarithmic",
        ),
        "distribution": ("Distribution", "Shares, in bands of a quarter of a doubling"),
    }
    sides = [*st.columns(2), *st.columns(2)]
    drawn = {}
    for side, (key, (title, note)) in zip(sides, notes.items(), strict=True):
        with side:
            drawn[key] = charts.frame(title, key=key, note=note, rows=partial(_rows_now, key, **chosen))
    return drawn


def _rows_now(key: str, **chosen: Any) -> pa.Table:
    return _charts(read(**chosen))[key][1]


def fill(cards: dict[str, charts.Frame], found: dict[str, Any]) -> None:
    """Draw the charts into their cards: four elements and no more, for every person at every refresh."""
    heat = found["heat"].source
    for key, (spec, rows) in _charts(found).items():
        window = (heat.start_ms, heat.end_ms) if key == "heat" else None
        cards[key].draw(spec, rows, window=window)


def _charts(found: dict[str, Any]) -> dict[str, tuple[dict[str, Any], pa.Table]]:
    zone, step = viewer.zone().key, _per(found["bands"].step_ms)
    return {
        "duration": (_with_deploys(zone), found["duration"]),
        "traffic": (charts.bars_spec(zone, _BANDS, f"Count {step}"), found["traffic"]),
        "heat": (_heat(zone), found["heat"].table),
        "distribution": (_spread(), found["spread"]),
    }


def _duration_rows(bands: Chart, deploys: pa.Table) -> pa.Table:
    """Return what the chart of durations draws: made once for all who look, not at every refresh."""
    rows = charts.named(bands.table if bands.source.n else bands.table.slice(0, 0), _PERCENTILES)
    if not deploys.num_rows:
        return rows
    return rows.append_column("deploy", _marks(rows.column("at"), deploys, bands.step_ms))


def _marks(starts: pa.ChunkedArray, deploys: pa.Table, step_ms: int) -> pa.Array:
    """Return for each step what was deployed in it, null where nothing was."""
    words: dict[int, list[str]] = {}
    for row in deploys.to_pylist():
        at_ms = clock.to_ms(row["at"])
        words.setdefault(at_ms - at_ms % step_ms, []).append(f"{row['service']} {row['version']}")
    found = [words.get(clock.to_ms(at) - clock.to_ms(at) % step_ms) for at in starts.to_pylist()]
    return pa.array([", ".join(these) if these else None for these in found], pa.string())


def _traffic_rows(chart: Chart) -> pa.Table:
    rows = _with_ends(chart, wide=True).table
    return charts.named(rows if chart.source.n else rows.slice(0, 0), _BANDS)


def _spread_rows(chart: Chart) -> pa.Table:
    """Return the bands of the whole window; none begins at zero, which a logarithmic axis cannot show."""
    return chart.table.set_column(0, "low", pc.max_element_wise(chart.table.column("low"), 0.001))


@lru_cache(maxsize=64)
def _with_deploys(zone: str) -> dict[str, Any]:
    """Return the chart of lines with a rule where something was deployed."""
    spec = deepcopy(charts.lines_spec(zone, _PERCENTILES, "Duration (ms)"))
    time = spec["layer"][0]["encoding"]["x"]
    tooltip = [{"field": "deploy", "type": "nominal", "title": "Deployed"}]
    rule = {
        "mark": {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 2, "color": "#8594A3"},
        "transform": [{"filter": "isValid(datum.deploy)"}],
        "encoding": {"x": time, "tooltip": tooltip},
    }
    spec["layer"].append(rule)
    return spec


def price(cost: Cost) -> str:
    """Say what recording cost, and whether anything was lost."""
    if cost.share_of_core is None or cost.share_of_cpu is None or cost.path_us_per_unit is None:
        return "Nothing was recorded, so monitoring cost nothing."
    lost = cost.n_dropped + cost.n_lost
    fate = "nothing was dropped" if not lost else f"**{format.count(lost)} units were dropped or lost**"
    less = {2: "", 1: "; queries are kept for evidence only", 0: "; single events are kept for evidence only"}
    core, share = format.percent(cost.share_of_core, 2), format.percent(cost.share_of_cpu)
    return (
        f"Monitoring cost {core} of one core ({share} of the CPU time of what it watches), "
        f"{cost.path_us_per_unit:.0f} µs in the path of each unit; {fate}{less[cost.level]}."
    )


def routes(chart: Chart, *, key: str) -> str | None:
    """Draw the table of routes with a bar and a sparkline each; return the route that was chosen."""
    table = chart.table.select(
        [
            "label",
            "spark",
            "total_s",
            "share",
            "n",
            "p50",
            "p95",
            "p99",
            "error_rate",
            "queries_per_unit",
        ]
    )
    event = st.dataframe(
        table,
        key=key,
        hide_index=True,
        column_config=_ROUTE_COLUMNS,
        on_select="rerun",
        selection_mode="single-cell",
        placeholder="",
        alt="Slowest routes; choose one to see it alone",
    )
    cells = event.selection.cells
    return str(chart.table.column("name")[cells[0][0]]) if cells and cells[0][0] < table.num_rows else None


def _drawn(sparks: pa.ChunkedArray) -> pa.Array:
    """Give quiet times a bar of no height: a table cell cannot draw a gap."""
    lists = sparks.combine_chunks()
    return pa.ListArray.from_arrays(lists.offsets, pc.fill_null(lists.values, 0))


def _per(step_ms: int) -> str:
    words = {60_000: "minute", 3_600_000: "hour", 86_400_000: "day", 604_800_000: "week"}
    return f"per {words.get(step_ms) or format.duration(step_ms)}"


def _change(kpi: Kpi) -> str | int | None:
    if kpi.change is None:
        return None
    return 0 if abs(kpi.change) < 0.0005 else f"{kpi.change * 100:+.1f} %"


def _with_ends(chart: Chart, *, wide: bool = False) -> Chart:
    """Add the end of each step, and make one row a step where a chart has one row a step and class."""
    table = _wide(chart.table) if wide else chart.table
    step = pa.scalar(chart.step_ms, pa.duration("ms"))
    return Chart(table.append_column("until", pc.add(table.column("at"), step)), chart.source, chart.step_ms)


def _wide(table: pa.Table) -> pa.Table:
    parts = {c: table.filter(pc.field("class") == c) for c in ("good", "warning", "critical")}
    return pa.table({"at": parts["good"].column("at")} | {c: t.column("n") for c, t in parts.items()})


@lru_cache(maxsize=1)
def _spread() -> dict[str, Any]:
    chart = (
        alt.Chart(alt.NamedData("rows"))
        .mark_rect(stroke=None)
        .encode(
            x=alt.X("low:Q", title="Duration (ms)", scale=alt.Scale(type="log"), axis=charts.log_axis()),
            x2="high",
            y=alt.Y("share:Q", title="Share", axis=alt.Axis(format=".0%", tickCount=5)),
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("low:Q", title="From (ms)", format=",.3~f"),
                alt.Tooltip("high:Q", title="To (ms)", format=",.3~f"),
                alt.Tooltip("n:Q", title="Count", format=","),
                alt.Tooltip("share:Q", title="Share", format=".1%"),
                alt.Tooltip("cumulated:Q", title="Up to here", format=".1%"),
            ],
        )
    )
    return charts.finished(chart)


@lru_cache(maxsize=256)
def _heat(zone: str) -> dict[str, Any]:
    chart = (
        alt.Chart(alt.NamedData("rows"))
        .mark_rect()
        .encode(
            x=charts.time_axis(zone, bin="binned"),
            x2="end",
            y=alt.Y(
                "low:Q",
                title="Duration (ms)",
                scale=alt.Scale(type="log"),
                axis=charts.log_axis("y", grid=False),
            ),
            y2="high",
            color=alt.Color(
                "n:Q", title="Count", scale=alt.Scale(type="log"), legend=alt.Legend(format="~s")
            ),
            tooltip=[
                alt.Tooltip("at:T", title="Time", format="%-d %b %Y, %H:%M"),
                alt.Tooltip("low:Q", title="From (ms)", format=",.3~f"),
                alt.Tooltip("high:Q", title="To (ms)", format=",.3~f"),
                alt.Tooltip("n:Q", title="Count", format=","),
            ],
        )
        .transform_calculate(low="max(datum.low, 0.001)")
    )
    return charts.finished(chart)


_ROUTE_COLUMNS = {
    "label": st.column_config.TextColumn("Route", width=214, pinned=True),
    "total_s": st.column_config.NumberColumn(
        "Total", format="%.2f s", help="All its time added up", width=76
    ),
    "share": st.column_config.ProgressColumn("Share", format="percent", min_value=0, max_value=1, width=88),
    "n": st.column_config.NumberColumn("Count", format="localized", width=60),
    "p50": st.column_config.NumberColumn("p50", format="%.1f ms", width=78),
    "p95": st.column_config.NumberColumn("p95", format="%.1f ms", width=82),
    "p99": st.column_config.NumberColumn("p99", format="%.1f ms", width=82),
    "error_rate": st.column_config.NumberColumn("Errors", format="percent", width=62),
    "queries_per_unit": st.column_config.NumberColumn(
        "Queries", format="%.1f", help="Database statements each, on average", width=72
    ),
    "spark": st.column_config.BarChartColumn("Trend", help="Mean over time", width=74, y_min=0),
}
