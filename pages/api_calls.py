"""API calls: make one or several, the history, or one call (`?id=`)."""

import streamlit as st

from engine import ui
from engine.queries import calls as reads
from engine.queries import tasks
from engine.ui import counted, edge, session, widgets
from engine.ui.calls import board, form, result

SHOWN = 15
BULKS = 3
FOLLOWED_S = 2
MODES = {"One call": form.one, "Several at once": form.several}

actor = session.signed_in()


def history() -> None:
    """List the latest calls."""
    found, bulks, use, tally = edge.load(
        "calls",
        lambda: (
            reads.history(actor, limit=SHOWN),
            tasks.page(actor, type_name="call_bulk", owner=actor.name, limit=BULKS).items,
            reads.cache_use(actor.name),
            counted.read(actor, type_name="api_call"),
        ),
    )
    if found:
        widgets.count_line(counted.of_one_type(tally, counted.filter_of(actor, "api_call")))
    board.latest_limit(actor, found)
    board.cache_card(actor, use)
    for task in bulks:
        board.bulk_row(task, actor)
    for call in found:
        board.call_row(call, actor)
    if len(found) == SHOWN:
        st.page_link(
            "tasks.py",
            label=f"All of them, not only the latest {SHOWN}",
            query_params=counted.filter_of(actor, "api_call"),
        )
    if not found and not bulks:
        widgets.nothing_yet(
            "No calls yet", "What you fetch appears here, with its answer and where the time went."
        )


def one(task_id: str, every_s: float | None) -> None:
    """Draw one call, or one bulk with its items."""
    if st.button("All calls", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["id"]
        st.rerun()

    @ui.live(every_s=every_s)
    def card() -> None:
        task = tasks.required(actor, task_id)
        result.draw(task, reads.one(task_id), actor)
        if task.type == "call_bulk":
            result.items(reads.items(task_id))

    card()
    with edge.caught("api_calls"):
        task = tasks.required(actor, task_id)
        result.save_as_schedule(task, actor)


task_id = st.query_params.get("id")
every_s = widgets.head("API call" if task_id else "API calls", actor)
if task_id:
    one(task_id, every_s)
else:
    left, right = st.columns([5, 6], gap="medium")
    with left, st.container(border=True), edge.caught("api_calls"):
        mode = st.segmented_control(
            "Mode",
            list(MODES),
            default="One call",
            required=True,
            key="mode",
            bind="query-params",
            label_visibility="collapsed",
        )
        MODES.get(str(mode), form.one)(actor)
    with right:
        st.subheader("Latest calls", anchor=False)
        ui.live(every_s=min(every_s, FOLLOWED_S) if every_s else None)(history)()
