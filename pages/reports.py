"""Reports: order one with a form, follow it, fetch it. Typing is never lost: only the list refreshes."""

import streamlit as st

from engine import lifecycle, ui
from engine.errors import OffloadError
from engine.queries import tasks
from engine.services import uploads
from engine.services.reports import catalog
from engine.ui import counted, edge, forms, session, toasts, widgets
from engine.words import Actor

SHOWN = 8
FOLLOWED_S = 2
"""How often the list refreshes while something in it is under way, if the viewer's choice is slower."""

actor = session.signed_in()


def order(actor: Actor) -> None:
    """Pick a report, fill in its form, hand it over."""
    kinds = {kind.name: kind for kind in catalog.all_types()}
    with st.container(border=True):
        st.subheader("Order a report", anchor=False)
        name = st.pills(
            "Report",
            list(kinds),
            default=next(iter(kinds)),
            required=True,
            format_func=lambda name: kinds[name].title,
            key="report",
            bind="query-params",
            label_visibility="collapsed",
        )
        kind = kinds.get(str(name)) or next(iter(kinds.values()))
        st.caption(kind.description)
        number = st.session_state.setdefault("reports-ordered", 0)
        asked = forms.ask(
            kind.form,
            key=f"order-{kind.name}-{number}",
            button="Order report",
            store=lambda filename, file: uploads.store(actor, filename, file),
        )
        if asked.values is not None:
            hand_over(actor, kind.name, asked)


def hand_over(actor: Actor, name: str, asked: forms.Asked) -> None:
    """Submit through the same gate as everybody; an empty form is next, so that nothing is sent twice."""
    try:
        lifecycle.submit(actor, "report", {"report": name, "params": asked.values})
    except OffloadError as error:
        asked.blame(error, prefix="params.")
        return
    st.session_state["reports-ordered"] += 1
    toasts.tell("Ordered. You can leave this page; the report will be in your list.")
    st.rerun()


def mine(actor: Actor) -> None:
    """List the viewer's reports, newest first."""
    wanted = {"type_name": "report", "owner": actor.name}
    found, tally = edge.load(
        "reports", lambda: (tasks.page(actor, limit=SHOWN, **wanted), counted.read(actor, **wanted))
    )
    if found.items:
        widgets.count_line(counted.of_one_type(tally, counted.filter_of(actor, **wanted)))
    for task in found.items:
        widgets.task_row(task, actor, key="mine", kind=False)
    if not found.items:
        widgets.nothing_yet(
            "No reports yet", "What you order appears here, with its progress and the file to download."
        )
    if found.next:
        st.page_link(
            "tasks.py",
            label=f"All of them, not only the latest {SHOWN}",
            query_params=counted.filter_of(actor, **wanted),
        )


every_s = widgets.head("Reports", actor)
waiting = [
    t for t in tasks.page(actor, type_name="report", owner=actor.name, limit=SHOWN).items if not t.state.ended
]
if waiting and every_s:
    every_s = min(every_s, FOLLOWED_S)

left, right = st.columns([5, 6], gap="medium")
with left:
    order(actor)
with right:
    st.subheader("My reports", anchor=False)
    ui.live(every_s=every_s)(mine)(actor)
