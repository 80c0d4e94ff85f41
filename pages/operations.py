"""Workers and queue: who works, what waits, and the levers: pause, resume, purge."""

import streamlit as st

from engine import lifecycle, registry, ui
from engine.errors import Forbidden
from engine.queries import queue, tasks, workers
from engine.ui import counted, edge, format, session, staff, widgets
from engine.words import Actor, Role, TaskState

EVERYTHING = "*"
GONE_SHOWN = 20
RUNNING_NAMED = 100
"""More running tasks than so many are called by the end of their id."""

actor = session.signed_in()
if not actor.role.includes(Role.OPS):
    raise Forbidden("This page needs the role ops.")
every_s = widgets.head("Workers and queue", actor)


def types() -> dict[str, str]:
    """Return the task types that can be paused, with their titles."""
    return {kind.name: kind.title for kind in registry.all_types() if not kind.system}


@ui.live(every_s=every_s)
def crew() -> None:
    found = edge.load("workers", workers.listing)
    running = tasks.page(actor, states=(TaskState.RUNNING,), limit=RUNNING_NAMED).items
    titles = {task.id: widgets.describe(task) for task in running}
    if not any(worker.alive for worker in found):
        st.error(
            "No worker is running, so tasks wait. Start one with `./offload up` or "
            "`huey_consumer engine.worker.huey`.",
            icon=":material/power_off:",
        )
    for worker in found:
        if worker.stopped_at_ms is None:
            staff.card(worker, titles)
    gone = [worker for worker in found if worker.stopped_at_ms is not None]
    if gone:
        with st.expander(f"{format.plural(len(gone), 'worker')} gone in the last 24 hours"):
            for worker in gone[:GONE_SHOWN]:
                staff.card(worker, titles)


@ui.live(every_s=every_s)
def backlog() -> None:
    st.subheader("Queue", anchor=False)
    found, tally = edge.load(
        "backlog", lambda: (queue.backlog(list(types())), counted.read(actor)), quiet=True
    )
    widgets.count_line(counted.of_all(tally))
    staff.backlog_table(found, types())


def levers(actor: Actor) -> None:
    """Pause and resume ask nothing, since they can be undone; a purge asks for the name."""
    names = {EVERYTHING: "The whole queue", **types()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        scope = st.selectbox("Apply to", list(names), format_func=names.__getitem__, width=260)
        paused = {pause["scope"] for pause in workers.pauses()}
        if scope in paused:
            st.button(
                "Resume",
                icon=":material/play_arrow:",
                type="primary",
                on_click=widgets.act,
                args=(resume(scope),),
            )
        else:
            st.button("Pause", icon=":material/pause:", on_click=widgets.act, args=(pause(scope),))
        if st.button("Purge waiting tasks", icon=":material/delete_sweep:"):
            ask_purge(scope, names[scope])


def pause(scope: str):
    def verb() -> str:
        return "Paused. Running work goes on." if lifecycle.pause(actor, scope) else "It was paused already."

    return verb


def resume(scope: str):
    def verb() -> str:
        return "Work goes on." if lifecycle.resume(actor, scope) else "It was not paused."

    return verb


def ask_purge(scope: str, title: str) -> None:
    kind = None if scope == EVERYTHING else scope
    waiting = sum(b.n_queued + b.n_later for b in queue.backlog([kind] if kind else list(types())))
    most = "at least " if waiting >= queue.COUNTED else ""
    widgets.confirm(
        f"Cancel all waiting tasks of {title.lower() if kind is None else title}?",
        f"This cancels {most}{format.plural(waiting, 'waiting task')}. What is cancelled stays in the list; "
        "it can be run again by hand, one at a time. Running tasks go on.",
        "Cancel them",
        lambda: f"Cancelled {format.plural(lifecycle.purge(actor, kind), 'waiting task')}.",
        typed=scope if kind else "queue",
    )


st.subheader("Workers", anchor=False)
crew()
backlog()
levers(actor)
