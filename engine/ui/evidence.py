"""Single requests on the Performance page: a table of slow and failed ones, and one as a waterfall."""

from functools import lru_cache
from typing import Any

import altair as alt
import pyarrow as pa
import streamlit as st

from engine.queries.performance import Event, Evidence, Trace
from engine.ui import charts, format, viewer, widgets

REASONS = {
    "slow": "slow",
    "failed": "failed",
    "heavy": "heavy operation",
    "worst": "worst of its hour",
    "sample": "sample",
}
LOOKS = {
    "good": ":green-badge[:material/check_circle: Good]",
    "warning": ":orange-badge[:material/warning: Warning]",
    "critical": ":red-badge[:material/error: Critical]",
}
_KINDS = {
    "http": "#3F82EE",
    "run": "#3F82EE",
    "fragment": "#3F82EE",
    "query": "#2FA866",
    "call": "#E57F24",
    "render": "#8E6CEB",
    "child": "#8E6CEB",
    "compute": "#C9992A",
    "wait": "#8594A3",
    "task": "#1593AB",
}
_ROW_PX = 26


def table(found: Evidence, *, key: str) -> str | None:
    """Draw single requests, slowest first; return the correlation id of the one that was chosen."""
    events = found.events
    rows = pa.table(
        {
            "at": pa.array([e.at_ms for e in events], pa.int64()).cast(pa.timestamp("ms", "UTC")),
            "label": pa.array([f"{e.method} {e.name}".strip() for e in events], pa.string()),
            "duration": pa.array([e.duration_ms for e in events], pa.float64()),
            "outcome": pa.array([e.outcome for e in events], pa.string()),
            "why": pa.array([_why(e) for e in events], pa.string()),
            "queries": pa.array([e.n_queries for e in events], pa.int64()),
            "query_ms": pa.array([e.query_ms for e in events], pa.float64()),
            "role": pa.array([e.role for e in events], pa.string()),
            "id": pa.array([e.correlation_id for e in events], pa.string()),
        }
    )
    event = st.dataframe(
        rows,
        key=key,
        hide_index=True,
        column_config=_COLUMNS | {"at": widgets.moment_column(f"When ({viewer.zone().key})")},
        on_select="rerun",
        selection_mode="single-cell",
        placeholder="",
        alt="Single requests, slowest first; choose one to see all of it",
    )
    cells = event.selection.cells
    return events[cells[0][0]].correlation_id if cells and cells[0][0] < len(events) else None


def request(found: Trace) -> None:
    """Draw everything under one correlation id: facts, waterfall, statements."""
    if not found.events and not found.tasks:
        widgets.nothing_yet(
            "Nothing is kept under this id",
            "Single requests are kept 48 h; slow, failed and heavy ones 14 days.",
            icon=":material/search_off:",
        )
        return
    for event in found.events[:3]:
        _facts(event)
    bars = _bar_rows(found)
    charts.card(
        _waterfall(),
        bars,
        title="Where the time went",
        note="From the first start; queries are added up",
        key="waterfall",
        height=max(90, _ROW_PX * bars.num_rows + 40),
    )
    for event in found.events:
        if event.statements:
            _statements(event)
    for task in found.tasks:
        label = f"{format.plain(task['type'])} · {task['state']}"
        st.page_link("tasks.py", label=label, query_params={"id": task["id"]}, icon=":material/checklist:")


def _facts(event: Event) -> None:
    with st.container(border=True, gap="xxsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{format.plain(f'{event.method} {event.name}'.strip())}**", width="content")
            st.markdown(LOOKS[event.band], width="content")
        parts = [
            format.duration(event.duration_ms),
            event.outcome,
            format.plural(event.n_queries, "query", "queries") + f" ({format.duration(event.query_ms)})",
            format.size(event.response_bytes) if event.response_bytes else "",
            f"cache {event.cache_hits} hits, {event.cache_misses} misses"
            if event.cache_hits + event.cache_misses
            else "",
            f"waited {format.duration(event.wait_ms)}" if event.wait_ms else "",
            f"role {event.role}" if event.role else "",
            _why(event),
        ]
        st.caption(" · ".join(format.plain(part) for part in parts if part))
        moment = format.moment(event.at_ms, viewer.zone())
        where = event.detail.get("path", "")
        error = event.detail.get("error", "")
        more = " · ".join(format.plain(part) for part in (moment, event.service, where, error) if part)
        st.caption(more, help=format.utc(event.at_ms))


def _statements(event: Event) -> None:
    rows = pa.table(
        {
            "Statement": [s.text for s in event.statements],
            "Runs": [s.n for s in event.statements],
            "Total (ms)": [s.total_ms for s in event.statements],
            "Longest (ms)": [s.max_ms for s in event.statements],
            "Called at": [s.caller for s in event.statements],
        }
    )
    st.caption(f"Queries of {format.plain(f'{event.method} {event.name}'.strip())}")
    st.dataframe(rows, hide_index=True, key=f"statements-{event.id}", column_config=_STATEMENT_COLUMNS)


def _why(event: Event) -> str:
    named = event.keep_reason == "heavy" and event.heavy  # what made it heavy says more than the word
    reason = "" if named or event.keep_reason == "sample" else REASONS.get(event.keep_reason or "", "")
    return ", ".join(dict.fromkeys([*([reason] if reason else []), *event.heavy]))


def _bar_rows(found: Trace) -> pa.Table:
    bars = found.bars
    return pa.table(
        {
            "order": pa.array(range(len(bars)), pa.int64()),
            "Step": pa.array([f"{'   ' * b.depth}{b.label}" for b in bars], pa.string()),
            "Kind": pa.array([b.kind for b in bars], pa.string()),
            "From (ms)": pa.array([float(b.offset_ms) for b in bars], pa.float64()),
            "To (ms)": pa.array([float(b.offset_ms + b.duration_ms) for b in bars], pa.float64()),
            "Took (ms)": pa.array([float(b.duration_ms) for b in bars], pa.float64()),
            "Outcome": pa.array([b.outcome for b in bars], pa.string()),
            "Detail": pa.array([b.detail for b in bars], pa.string()),
        }
    )


@lru_cache(maxsize=1)
def _waterfall() -> dict[str, Any]:
    kinds = list(_KINDS)
    fields = ("Step", "Kind", "Outcome", "Detail")
    numbers = ("From (ms)", "Took (ms)")
    hues = alt.Scale(domain=kinds, range=[_KINDS[k] for k in kinds])
    chart = (
        alt.Chart()
        .mark_bar(cornerRadius=2, height={"band": 0.65}, minBandSize=4, strokeWidth=2)  # seen however short
        .encode(
            y=alt.Y(
                "order:O",
                title=None,
                axis=alt.Axis(labels=False, ticks=False, domain=False),
            ),
            x=alt.X("From \\(ms\\):Q", title="Time", axis=charts.value_axis("(ms)")),
            x2="To \\(ms\\)",
            color=alt.Color("Kind:N", title=None, scale=hues, legend=None),
            stroke=alt.Stroke("Kind:N", scale=hues, legend=None),
            tooltip=[alt.Tooltip(f"{f}:N") for f in fields]
            + [alt.Tooltip(f"{f}:Q".replace("(", "\\(").replace(")", "\\)"), format=",.1f") for f in numbers],
        )
    )
    text = (
        alt.Chart()
        .mark_text(align="left", dx=4, fontSize=12, limit=420)
        .encode(
            y=alt.Y("order:O", title=None),
            x=alt.X("To \\(ms\\):Q"),
            text="label:N",
            color=alt.value("#8594A3"),
        )
        .transform_calculate(took="datum['Took (ms)']")
        .transform_calculate(
            label="trim(datum.Step) + '  ' + (datum.took < 1000 ? format(datum.took, ',.1f') + ' ms'"
            " : format(datum.took / 1000, ',.1f') + ' s')"
        )
    )
    return charts.finished(alt.LayerChart(data=alt.NamedData("rows"), layer=[chart, text]))


_COLUMNS = {
    "label": st.column_config.TextColumn("Request", width=230),
    "duration": st.column_config.NumberColumn("Took (ms)", format="localized", step=1),
    "outcome": st.column_config.TextColumn("Outcome", width=80),
    "why": st.column_config.TextColumn("Kept because", width=220),
    "queries": st.column_config.NumberColumn("Queries"),
    "query_ms": st.column_config.NumberColumn("In queries", format="%.1f ms"),
    "role": st.column_config.TextColumn("Role", width=70),
    "id": st.column_config.TextColumn("Correlation id", width=140),
}
_STATEMENT_COLUMNS = {
    "Statement": st.column_config.TextColumn(width=520),
    "Total (ms)": st.column_config.NumberColumn(format="%.1f"),
    "Longest (ms)": st.column_config.NumberColumn(format="%.1f"),
}
