"""Performance: how fast it is, since when, and where the time goes. The filter lives in the address."""

import streamlit as st

from engine import ui
from engine.queries import performance
from engine.ui import charts, edge, session, widgets
from engine.ui import performance as parts

ALL = "All"

actor = session.signed_in()
every_s = widgets.head("Performance", actor)


def filters() -> dict:
    """Draw the filter and return it as arguments of a selection."""
    if picked := st.session_state.pop("performance-picked", None):
        st.session_state["route"] = picked
    words = {word: kind for kind, word in parts.KINDS.items()}
    period = st.segmented_control(
        "Period",
        list(parts.PERIODS.values()),
        default=parts.PERIODS["1h"],
        required=True,
        key="period",
        bind="query-params",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.selectbox("What", list(words), key="what", bind="query-params", width=220)
        service = st.selectbox(
            "Service",
            performance.services(),
            index=None,
            key="service",
            bind="query-params",
            placeholder="All services",
            width=180,
        )
        chosen = performance.last("13mo", kind=words.get(kind, "http"), service=service)
        names = list(dict.fromkeys(name for _, name, _ in performance.names(chosen)))
        route = st.selectbox(
            "Route or name",
            names,
            index=None,
            key="route",
            bind="query-params",
            placeholder="All of them",
            width=320,
        )
    return {
        "period": {word: key for key, word in parts.PERIODS.items()}.get(period or "", "1h"),
        "kind": words.get(kind, "http"),
        "service": service,
        "name": route if route in names else None,
    }


chosen = filters()


@ui.live(every_s=every_s)
def over_time() -> None:
    found = edge.load(f"performance-{chosen}", lambda: parts.read(**chosen))
    if not found["overview"].source.n:
        widgets.nothing_yet(
            "Nothing was recorded for this choice",
            "Every request, page run and task attempt is recorded. Choose a longer period or another kind.",
            icon=":material/monitoring:",
        )
        return
    parts.figures(found["overview"].kpis)
    st.caption(parts.provenance(found["overview"].source))
    parts.over_time(found)
    parts.heat(found["heat"])


@ui.live(every_s=every_s)
def by_route() -> None:
    """List where the time goes; another order or a choice does not redraw the charts."""
    if chosen["name"]:
        return
    selection = performance.last(chosen["period"], kind=chosen["kind"], service=chosen["service"])
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown("**Where the time goes**", width="content")
            order = st.segmented_control(
                "Order by",
                list(parts.ORDERS),
                default="total",
                required=True,
                format_func=parts.ORDERS.get,
                key="performance-order",
                label_visibility="collapsed",
            )
        found = parts.slowest(selection, order or "total")
        if not found.table.num_rows:
            st.caption("Nothing was recorded in this period.")
            return
        picked = parts.routes(found, key=f"routes-{order}-{chosen}")
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.caption(f"{parts.provenance(found.source)}. Choose a row to see it alone.", width="content")
            charts.csv_button(found.table.drop_columns(["spark"]), key="routes")
    if picked:
        st.session_state["performance-picked"] = picked
        st.rerun()


over_time()
by_route()
