"""A report ordered from another page: the button, then its progress and its file, on that page."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine import lifecycle, registry, ui
from engine.errors import NotFound
from engine.queries import tasks
from engine.records.tasks import Task
from engine.ui import widgets
from engine.words import Actor

FOLLOWED_S = 1
"""How often the progress is drawn again; nothing else of the page is."""
_TYPE = "report"


def button(actor: Actor, report: str, params: Mapping[str, Any], *, key: str) -> None:
    """Draw the button that orders a report of what is shown; it is off while the one before is being made."""
    role = registry.get(_TYPE).min_role
    allowed = actor.role.includes(role)
    busy = (task := _ordered(actor, key)) is not None and not task.state.ended
    st.button(
        "PDF report",
        key=f"{key}-order",
        icon=":material/picture_as_pdf:",
        type="tertiary",
        disabled=busy or not allowed,
        help="Order it as a PDF to hand on" if allowed else f"Ordering reports needs the role {role}.",
        on_click=widgets.act,
        args=(lambda: _order(actor, report, params, key),),
    )


def follow(actor: Actor, *, key: str) -> None:
    """Draw the progress of the report ordered last, then its file."""
    task = _ordered(actor, key)
    if task is None:
        return
    waiting = not task.state.ended

    @ui.live(every_s=FOLLOWED_S if waiting else None)
    def ordered_report() -> None:
        now = _ordered(actor, key)
        if now is not None:
            widgets.task_row(now, actor, key=key, kind=False)
        if waiting and (now is None or now.state.ended):
            st.rerun()  # ends the refreshing, and the button is on again

    ordered_report()


def _order(actor: Actor, report: str, params: Mapping[str, Any], key: str) -> str:
    submitted = lifecycle.submit(actor, _TYPE, {"report": report, "params": dict(params)})
    st.session_state[_at(key)] = submitted.task.id
    return "Ordered. It appears below, and in your reports."


def _ordered(actor: Actor, key: str) -> Task | None:
    task_id = st.session_state.get(_at(key))
    try:
        return tasks.required(actor, task_id) if task_id else None
    except NotFound:
        return None


def _at(key: str) -> str:
    return f"{key}-ordered"
