"""Schedules: the list, a new one, a batch, the load of all of them (`?view=`), or one schedule (`?id=`)."""

import streamlit as st

from engine import clock, ui
from engine.errors import NotFound
from engine.queries import schedules as reads
from engine.services.schedules.forecast import forecast
from engine.ui import address, edge, session, widgets
from engine.ui.schedules import batch, board, editor, load
from engine.words import Role

PAGE = 20
VIEWS = ("All", "New", "Batch", "Forecast")
STATES = {"Active": True, "Paused": False}
DAYS = {"24 hours": 1, "7 days": 7, "30 days": 30}
DAY_MS = 86_400_000

actor = session.signed_in()


def listing(every_s: float | None) -> None:
    """Draw the schedules, by name."""
    address.obey({"search": "", "state": None})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input(
            "Search", key="search", bind="query-params", placeholder="Part of the name", live=True
        )
        state = st.pills("State", list(STATES), key="state", bind="query-params")
    cursors = st.session_state.setdefault(f"schedules-{search}-{state}", [None])

    @ui.live(every_s=every_s)
    def table() -> None:
        found = edge.load(
            f"schedules-{search}-{state}-{len(cursors)}",
            lambda: (
                reads.page(actor, search=search, enabled=STATES.get(state), limit=PAGE, cursor=cursors[-1]),
                reads.counts(actor),
            ),
        )
        page, counts = found
        if counts["all"]:
            board.counters(counts)
        if not page.items and (search or state):
            widgets.hidden_by_filter(f"All {counts['all']} schedules were searched.")
        elif not page.items:
            widgets.nothing_yet(
                "No schedules yet",
                "Choose New to let a report or a call run by itself.",
                icon=":material/event_repeat:",
            )
        for item in page.items:
            board.row(item, actor)
        widgets.pager(cursors, page.next, back="Back", on="More")

    table()


def one(schedule_id: str, every_s: float | None) -> None:
    """Draw one schedule: plan, expected against actual, past runs, history, change."""
    if st.button("All schedules", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["id"]
        st.rerun()
    days = DAYS[st.segmented_control("Period", list(DAYS), default="7 days", required=True, key="period")]

    @ui.live(every_s=every_s)
    def card() -> None:
        schedule = reads.visible(actor, schedule_id)
        if schedule is None or schedule.removed_at_ms is not None:
            raise NotFound("There is no such schedule, or it is not yours.")
        board.head(schedule, actor)
        (stats,) = reads.stats(actor, clock.now_ms() - days * DAY_MS, schedule.id)
        board.figures(stats)
        board.occurrence_table(reads.occurrences(schedule.id), f"occurrences-{schedule.id}")

    with edge.caught("schedules"):
        card()
        schedule = reads.visible(actor, schedule_id)
        if schedule is not None and actor.role.includes(Role.STAFF):
            if st.toggle("Change this schedule", key=f"change-{schedule_id}"):
                editor.change(actor, schedule)
            board.remove_button(schedule, actor)
        with st.expander("History", icon=":material/history:"):
            board.history(reads.history(schedule_id))


if opened := st.session_state.pop("schedule-open", None):
    st.query_params["id"] = opened
schedule_id = st.query_params.get("id")
every_s = widgets.head("Schedule" if schedule_id else "Schedules", actor)
if schedule_id:
    one(schedule_id, every_s)
else:
    view = st.segmented_control(
        "View",
        VIEWS,
        default="All",
        required=True,
        key="view",
        bind="query-params",
        label_visibility="collapsed",
    )
    with edge.caught("schedules"):
        if view == "New":
            editor.new(actor)
        elif view == "Batch":
            batch.draw(actor)
        elif view == "Forecast":
            load.draw(forecast(actor))
        else:
            listing(every_s)
