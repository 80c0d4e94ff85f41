"""Workers and backlog as the operations page shows them."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import streamlit as st

from engine import clock
from engine.queries.queue import COUNTED, Backlog
from engine.queries.workers import Worker
from engine.ui import format, viewer


def card(worker: Worker, titles: Mapping[str, str]) -> None:
    """Draw one worker: how sure we are that it lives, what it does and what it uses.

    `titles` says what running tasks are, by id.
    """
    now_ms = clock.now_ms()
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{format.plain(worker.host)}**, process {worker.pid}", width="content")
            st.markdown(_badge(worker), width="content")
        if not worker.alive and worker.stopped_at_ms is None:
            st.warning(
                "Possibly gone: it has not been heard of. What it was doing is given to another worker when "
                "its lease runs out; nobody must act.",
                icon=":material/heart_broken:",
            )
        busy = f"{len(worker.tasks)} of {format.plural(worker.threads, 'thread')} busy"
        facts = [busy, f"since {format.moment(worker.started_at_ms, viewer.zone())}"]
        if worker.cpu_percent is not None and worker.alive:
            facts.append(f"{worker.cpu_percent:.0f} % of a core")
        if worker.memory_bytes and worker.alive:
            children = worker.children_memory_bytes or 0
            facts.append(f"{format.size(worker.memory_bytes)} memory, {format.size(children)} in children")
        if worker.stopped_at_ms is not None:
            why = format.plain(worker.stop_reason or "stopped")
            facts = [f"{why}, {format.relative(worker.stopped_at_ms, now_ms)}"]
        st.caption(" · ".join(facts))
        for task_id in worker.tasks:
            st.page_link(
                "tasks.py",
                label=format.plain(titles.get(task_id, f"Task {format.short_id(task_id)}")),
                icon=":material/play_circle:",
                query_params={"id": task_id},
            )


def backlog_table(found: Sequence[Backlog], titles: Mapping[str, str]) -> None:
    """Draw what waits and runs of each type."""
    table = pa.table(
        {
            "type": [titles.get(b.type, b.type) for b in found],
            "running": pa.array([b.n_running for b in found], pa.int64()),
            "queued": pa.array([b.n_queued for b in found], pa.int64()),
            "later": pa.array([b.n_later for b in found], pa.int64()),
            "latency": [format.duration(b.latency_ms) for b in found],
            "paused": [f"by {b.paused_by}" if b.paused_by else "" for b in found],
        }
    )
    st.dataframe(table, hide_index=True, column_config=_COLUMNS, alt="Backlog by task type")
    if any(b.n_queued >= COUNTED for b in found):
        st.caption(f"Counting stops at {format.count(COUNTED)} a type.")


def _badge(worker: Worker) -> str:
    if worker.alive:
        return ":green-badge[:material/check_circle: Alive]"
    if worker.stopped_at_ms is None:
        return f":orange-badge[:material/help: {worker.state.capitalize()}]"
    return ":gray-badge[:material/cancel: Gone]"


_COLUMNS = {
    "type": st.column_config.TextColumn("Type", width=200),
    "running": st.column_config.NumberColumn("Running", format="localized"),
    "queued": st.column_config.NumberColumn("Queued", format="localized"),
    "later": st.column_config.NumberColumn("Scheduled or retrying", format="localized"),
    "latency": st.column_config.TextColumn(
        "Oldest waits", help="How long the oldest task that could start waits"
    ),
    "paused": st.column_config.TextColumn("Paused"),
}
