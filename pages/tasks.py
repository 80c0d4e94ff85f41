"""Tasks: the list, with its filter in the address, or one task (`?id=`)."""

import streamlit as st

from engine import registry, ui
from engine.errors import NotFound
from engine.queries import tasks
from engine.services import waiting
from engine.ui import address, counted, detail, edge, session, states, viewer, widgets
from engine.words import Actor, Role

PAGE = 50
WORDS = {look.word: state for state, look in states.LOOKS.items()}

actor = session.signed_in()


def filters(actor: Actor) -> dict:
    """Draw the filter; each part lives in the address, so that a view can be shared."""
    address.obey({"state": [], "type": None, "owner": ""})
    titles = {kind.name: kind.title for kind in registry.all_types()}
    chosen = st.pills("State", list(WORDS), selection_mode="multi", key="state", bind="query-params")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        type_name = st.selectbox(
            "Type",
            list(titles),
            index=None,
            key="type",
            bind="query-params",
            format_func=lambda name: titles[name],
            placeholder="All types",
            width=240,
        )
        owner = None
        if actor.role.includes(Role.OPS):
            owner = st.text_input(
                "Owner", key="owner", bind="query-params", placeholder="Everybody", width=240
            )
    return {
        "states": [WORDS[word] for word in chosen or [] if word in WORDS],
        "type_name": type_name if type_name in titles else None,
        "owner": (owner or "").strip() or None,
    }


def listing(actor: Actor) -> None:
    every_s = widgets.head("Tasks", actor)
    chosen = filters(actor)
    # What is picked or paged belongs to one filter: with another one it is forgotten.
    key = f"tasks-{hash(str(chosen))}"

    @ui.live(every_s=every_s)
    def table() -> None:
        cursors = st.session_state.setdefault(f"{key}-cursors", [None])
        found, tally = edge.load(
            f"{key}-{len(cursors)}",
            lambda: (tasks.page(actor, limit=PAGE, cursor=cursors[-1], **chosen), counted.read(actor)),
        )
        if tally.total:
            widgets.count_line(counted.of_all(tally))
        if not found.items:
            empty(actor, any(chosen.values()))
            return
        picked = widgets.task_table(
            found.items, key=f"{key}-{len(cursors)}", owners=actor.role.includes(Role.OPS)
        )
        if picked:
            st.session_state["tasks-picked"] = picked
            st.rerun()
        widgets.pager(cursors, found.next, back="Newer", on="Older")

    table()


def empty(actor: Actor, filtered: bool) -> None:
    if filtered:
        widgets.hidden_by_filter(
            "All tasks that are kept were searched. Remove a part of the filter to see more."
        )
    elif not actor.role.includes(Role.STAFF):
        widgets.nothing_yet("No tasks yet", "Only your own work is listed, and your role hands none over.")
    else:
        widgets.nothing_yet("No tasks yet", "Order a report, or submit a task with `./offload tasks submit`.")


def one(actor: Actor, task_id: str) -> None:
    every_s = widgets.head("Task", actor)
    if st.button("All tasks", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["id"]
        st.rerun()

    @ui.live(every_s=every_s)
    def card() -> None:
        task = tasks.visible(actor, task_id)
        if task is None:
            raise NotFound("There is no such task, or it is not yours.")
        zone = viewer.zone()
        detail.draw(task, actor, tasks.timeline(task.id), tasks.attempts_of(task.id), waiting.why(task, zone))

    card()


if picked := st.session_state.pop("tasks-picked", None):
    st.query_params["id"] = picked
if task_id := st.query_params.get("id"):
    one(actor, task_id)
else:
    listing(actor)
