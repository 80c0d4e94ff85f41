"""Performance: how fast it is, since when, where the time goes and why. The filter lives in the address."""

import streamlit as st

from engine import ui
from engine.queries import findings as found_wrong
from engine.queries import performance
from engine.ui import charts, edge, evidence, findings, narrowing, session, widgets
from engine.ui import performance as parts

VIEWS = {"routes": "Where the time goes", "requests": "Single requests", "findings": "Findings"}
LIMIT = 100

actor = session.signed_in()


def board() -> None:
    every_s = widgets.head("Performance", actor)
    chosen = narrowing.filters()
    name = f"performance-{chosen}"
    found = edge.load(name, lambda: parts.read(**chosen), quiet=True)
    framed = parts.framed(found)
    above = st.container()
    cards = parts.frames(found, **chosen) if framed else {}
    beneath = st.empty()

    @ui.live(every_s=every_s)
    def over_time() -> None:
        """Drawn anew at each refresh, for everybody who looks: so only what changes is in here."""
        found = edge.load(name, lambda: parts.read(**chosen))
        if parts.framed(found) != framed:
            st.rerun()
        if not cards:
            parts.nothing_recorded()
            return
        parts.figures(found["overview"].kpis)
        st.caption(parts.provenance(found["overview"].source))
        parts.fill(cards, found)
        beneath.caption(f":material/speed: {parts.price(found['cost'])}")

    @ui.live()
    def below() -> None:
        """Drawn anew when a choice changes: a table that somebody reads should stand still."""
        titles = list(VIEWS.values())
        view = st.segmented_control(
            "Show", titles, default=titles[0], required=True, key="view", bind="query-params"
        )
        {titles[0]: routes, titles[1]: requests, titles[2]: wrong}.get(view or "", routes)(chosen)

    with above:
        over_time()
    below()


def routes(chosen: dict) -> None:
    selection = narrowing.selection(**chosen)
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
        charts.csv_button(lambda: found.table.drop_columns(["spark"]), key="routes")
    if picked:
        st.session_state["performance-picked"] = picked
        st.rerun()


def requests(chosen: dict) -> None:
    found = edge.load(
        f"evidence-{chosen}", lambda: performance.evidence(narrowing.selection(**chosen), limit=LIMIT)
    )
    if not found.events:
        widgets.good_news("No slow, failed or heavy request in this period")
        return
    picked = evidence.table(found, key=f"evidence-{chosen}")
    capped = f"The {LIMIT} slowest; there are more." if found.source.capped else f"All {found.source.n}."
    st.caption(f"{capped} Kept for 14 days: slow, failed, heavy, worst of their hour. Choose one to see it.")
    if picked:
        st.session_state["performance-request"] = picked
        st.rerun()


def wrong(chosen: dict) -> None:
    states = findings.states()
    found = edge.load(
        f"findings-{states}-{chosen}",
        lambda: found_wrong.listed(
            states=states, service=chosen["service"], name=chosen["name"], limit=LIMIT
        ),
    )
    findings.draw(found, actor, filtered=bool(chosen["name"] or chosen["service"] or states != ("open",)))


def one(correlation_id: str) -> None:
    widgets.head("One request", actor, live=False, note=f"Correlation id `{correlation_id[:64]}`")
    if st.button("All requests", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["request"]
        st.rerun()
    evidence.request(performance.trace(actor, correlation_id))


if picked := st.session_state.pop("performance-request", None):
    st.query_params["request"] = picked
if correlation_id := st.query_params.get("request"):
    one(correlation_id)
else:
    board()
