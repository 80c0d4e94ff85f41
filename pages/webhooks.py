"""Webhooks: endpoints and the delivery log (`?view=`), or one delivery (`?id=`)."""

import streamlit as st

from engine import ui
from engine.queries import webhooks as reads
from engine.ui import edge, session, widgets
from engine.ui.webhooks import endpoints, log

VIEWS = ("Endpoints", "Log")

actor = session.signed_in()


def kept(every_s: float | None) -> None:
    """Draw the endpoints, and the form for one more."""
    endpoints.secret()
    with st.expander("Add an endpoint", icon=":material/add:", expanded=not reads.endpoints(actor)):
        endpoints.add(actor)

    @ui.live(every_s=every_s)
    def listing() -> None:
        found = edge.load("endpoints", lambda: reads.endpoints(actor))
        endpoints.listing(found, actor)

    listing()


def deliveries(every_s: float | None) -> None:
    """Draw the log, filtered by what the address says."""
    state, since = log.filters()
    key = f"deliveries-{state}-{since}"
    cursors = st.session_state.setdefault(key, [None])

    @ui.live(every_s=every_s)
    def listing() -> None:
        page, counts = edge.load(
            f"{key}-{len(cursors)}",
            lambda: (
                reads.deliveries(actor, state=state, since_ms=log.since_ms(since), cursor=cursors[-1]),
                reads.counts(actor, log.since_ms(log.DAY)),
            ),
        )
        st.caption("The last 24 hours")
        log.counters(counts)
        if not page.items and (state or since):
            kept = f"of the last {since}" if since else "that are kept"
            widgets.hidden_by_filter(f"All deliveries {kept} were searched.")
        elif not page.items:
            widgets.nothing_yet("Nothing sent yet", "Every delivery appears here, with its attempts.")
        elif picked := log.table(page.items, f"{key}-{len(cursors)}"):
            st.session_state["delivery-picked"] = picked
            st.rerun()
        with st.container(horizontal=True, horizontal_alignment="right"):
            if len(cursors) > 1 and st.button("Newer", icon=":material/chevron_left:"):
                cursors.pop()
                st.rerun(scope="fragment")
            if page.next and st.button("Older", icon=":material/chevron_right:", icon_position="right"):
                cursors.append(page.next)
                st.rerun(scope="fragment")

    listing()
    log.replay_form(actor)


def one(delivery_id: str, every_s: float | None) -> None:
    """Draw one delivery."""
    if st.button("All deliveries", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["id"]
        st.query_params["view"] = "Log"
        st.rerun()

    @ui.live(every_s=every_s)
    def card() -> None:
        log.one(reads.delivery(actor, delivery_id), actor)

    card()


if picked := st.session_state.pop("delivery-picked", None):
    st.query_params["id"] = picked
every_s = widgets.head("Webhooks", actor)
if delivery_id := st.query_params.get("id"):
    one(delivery_id, every_s)
else:
    view = st.segmented_control(
        "View",
        VIEWS,
        default="Endpoints",
        required=True,
        key="view",
        bind="query-params",
        label_visibility="collapsed",
    )
    with edge.caught("webhooks"):
        (deliveries if view == "Log" else kept)(every_s)
