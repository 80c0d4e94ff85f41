"""One task in full: where it stands, why it waits, what happened to it, its attempts, log and result."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import clock
from engine.queries.tasks import Moment
from engine.records.tasks import Task
from engine.services import waiting
from engine.services.waiting import Reason
from engine.ui import format, states, viewer, widgets
from engine.words import Actor, TaskState

_LOG_PX = 260


def draw(
    task: Task,
    actor: Actor,
    timeline: Sequence[Moment],
    attempts: Sequence[Mapping[str, Any]],
    why: Reason | None,
) -> None:
    """Draw a task's page below its title."""
    now_ms = clock.now_ms()
    state = task.shown_state(now_ms)
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader(format.plain(widgets.describe(task)), anchor=False, width="content")
            st.markdown(states.look(state).badge, width="content")
        _standing(task, state, why)
        _facts(task, now_ms)
        with st.container(horizontal=True):
            widgets.task_buttons(task, actor, key="detail", details=False)
    history, tries, data = st.tabs(["Timeline", f"Attempts ({len(attempts)})", "Payload and result"])
    with history:
        _timeline(timeline)
    with tries:
        _attempts(attempts, now_ms)
    with data:
        _data(task)


def _standing(task: Task, state: TaskState, why: Reason | None) -> None:
    """Say what happens now, how sure that is, and what comes next."""
    if state is TaskState.RUNNING:
        note = format.plain(task.progress_note or "working")
        st.progress(task.progress / 100, f"{task.progress} % · {note}")
        if task.cancel_requested_by:
            st.caption(f":material/stop_circle: {format.plain(task.cancel_requested_by)} asked it to stop.")
        if doubt := waiting.doubt(task, viewer.zone()):
            st.warning(format.plain(doubt), icon=":material/heart_broken:")
    if why:
        st.info(format.plain(why.sentence), icon=":material/hourglass_top:")
    if task.error_message and state is not TaskState.SUCCEEDED:
        message = format.plain(format.sentence(task.error_message))
        st.error(f"{message}  \n:small[Code {format.plain(task.error_code)}]")


def _facts(task: Task, now_ms: int) -> None:
    zone = viewer.zone()
    wait_ms = _between(task.queued_at_ms or task.created_at_ms, task.started_at_ms)
    took_ms = _between(task.started_at_ms, task.finished_at_ms or now_ms)
    facts = (
        ("Owner", format.plain(task.owner), None),
        ("Attempt", f"{task.attempt} of {task.max_attempts}", None),
        ("Created", format.moment(task.created_at_ms, zone), format.utc(task.created_at_ms)),
        ("Waited", format.duration(wait_ms), "From its place in the queue to its latest start"),
        ("Took" if task.finished_at_ms else "Running for", format.duration(took_ms), None),
        ("Priority", str(task.priority), None),
    )
    with st.grid("auto", min_column_width=165):
        for label, value, about in facts:
            st.markdown(f":gray[:small[{label}]]  \n{value}", help=about)
    st.caption(f"Task `{task.id}` · correlation `{task.correlation_id}`")


def _timeline(timeline: Sequence[Moment]) -> None:
    zone = viewer.zone()
    lines = [f"| Time ({zone.key}) | What | Who and why |", "| --- | --- | --- |"]  # three fit a telephone
    for moment in timeline:
        mark = _mark(moment.what)
        told = " · ".join(format.plain(part) for part in (moment.who or "system", moment.why) if part)
        lines.append(f"| {format.moment(moment.at_ms, zone)} | {mark} | {told} |")
    st.markdown("\n".join(lines))


def _mark(what: str) -> str:
    if what in set(TaskState):
        return states.look(what).badge
    return format.plain(what[:1].upper() + what[1:].replace("_", " "))


def _attempts(attempts: Sequence[Mapping[str, Any]], now_ms: int) -> None:
    if not attempts:
        st.caption("It has not begun yet.")
    for a in reversed(attempts):
        look = states.outcome_look(a["outcome"])
        took_ms = a["duration_ms"] if a["finished_at_ms"] else now_ms - a["started_at_ms"]
        with st.container(border=True):
            st.markdown(f"**Attempt {a['attempt']}** {look.badge}")
            used = [
                f"{format.duration(took_ms)} on {format.plain(a['worker_id'] or 'system')}",
                f"began {format.moment(a['started_at_ms'], viewer.zone())}",
            ]
            if a["cpu_ms"] is not None:
                used.append(f"{format.duration(a['cpu_ms'])} of CPU")
            if a["peak_memory_bytes"]:
                used.append(f"{format.size(a['peak_memory_bytes'])} of memory at most")
            st.caption(" · ".join(used))
            if a["error_message"]:
                st.markdown(f":red[{format.plain(format.sentence(a['error_message']))}]")
            if a["log"]:
                st.caption("Log, times in UTC")
                st.code(a["log"], language=None, height=_LOG_PX if a["log"].count("\n") > 10 else "content")
            else:
                st.caption("It wrote no log.")


def _data(task: Task) -> None:
    left, right = st.columns(2)
    with left:
        st.markdown("**Payload**")
        st.json(json.loads(task.payload), expanded=2)
    with right:
        st.markdown("**Result**")
        result = widgets.result_of(task)
        if result is None:
            st.caption("There is none." if task.state.ended else "There is none yet.")
        else:
            st.json(result, expanded=2)


def _between(start_ms: int | None, end_ms: int | None) -> int | None:
    return None if start_ms is None or end_ms is None else max(0, end_ms - start_ms)
