"""Overview: how is it going? For watching; nothing here changes anything."""

import streamlit as st

from engine import clock, ui
from engine.queries import alerts, findings, overview, tasks, workers
from engine.ui import charts, counted, edge, format, session, shared, states, widgets
from engine.words import Actor, Role, TaskState

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
LATEST = 5
FRESH_S = 2
"""How old what everybody shares may be."""

actor = session.signed_in()
every_s = widgets.head("Overview", actor)


def read(actor: Actor) -> dict:
    """One call down for everything this page shows."""
    return {
        "tally": counted.read(actor),
        **shared.read("overview", FRESH_S, read_shared),
        "running": tasks.page(actor, states=(TaskState.RUNNING,), limit=LATEST).items,
        "failed": tasks.page(actor, states=(TaskState.FAILED,), limit=LATEST).items,
    }


def read_shared() -> dict:
    """What is the same for everybody."""
    return {
        "workers": workers.listing(gone_since_ms=clock.now_ms()),
        "pauses": workers.pauses(),
        "alerts": alerts.opened(),
        "slower": findings.regressions(),
        "ended": overview.ended(since_ms=clock.now_ms() - DAY_MS + HOUR_MS, bucket_ms=HOUR_MS),
    }


def health(found: dict) -> None:
    """Say in one line whether anybody must act, and what to do."""
    alive = [w for w in found["workers"] if w.alive]
    waiting = found["tally"].n[TaskState.QUEUED]
    if not alive:
        st.error(
            "No worker is running, so tasks wait. Start one with `./offload up` or "
            "`huey_consumer engine.worker.huey`.",
            icon=":material/power_off:",
        )
    for pause in found["pauses"]:
        scope = format.plain(pause["scope"])
        what = "The queue was" if pause["scope"] == "*" else f"Tasks of type {scope} were"
        st.warning(
            f"{what} paused by {format.plain(pause['paused_by'])} "
            f"{format.relative(pause['paused_at_ms'])}. Running work goes on.",
            icon=":material/pause_circle:",
        )
    for alert in found["alerts"]:
        st.warning(format.plain(alert.message), icon=":material/notifications_active:")
    if found["alerts"]:
        widgets.link("alerts", "See the alerts", icon=":material/notifications:")
    for finding in found["slower"]:
        text = f"{finding.name} became slower: {finding.example}"
        st.warning(format.plain(text), icon=":material/trending_up:")
    if found["slower"]:
        widgets.link("performance", "See the findings", icon=":material/monitoring:", view="Findings")
    if alive and not found["pauses"]:
        threads = sum(w.threads for w in alive)
        text = f"{format.plural(len(alive), 'worker')} with {format.plural(threads, 'thread')} ready"
        widgets.good_news(f"{text}, {format.plural(waiting, 'task')} waiting")


@ui.live(every_s=every_s)
def board() -> None:
    found = edge.load("overview", lambda: read(actor))
    health(found)
    widgets.counters(counted.of_all(found["tally"]))
    charts.bars(
        found["ended"],
        [charts.Series(str(s), states.look(s).word, states.look(s).hex) for s in overview.SHOWN],
        title="Tasks that ended, per hour",
        note="Last 24 hours, everybody's work",
        y="Tasks per hour",
        key="ended",
        empty="No task has ended in the last 24 hours. Order a report to see one here.",
    )
    left, right = st.columns(2)
    with left:
        st.subheader("Running now", anchor=False)
        for task in found["running"]:
            widgets.task_line(task)
        if not found["running"]:
            st.caption("Nothing is running.")
    with right:
        st.subheader("Failed last", anchor=False)
        for task in found["failed"]:
            widgets.task_line(task)
        if not found["failed"]:
            widgets.good_news("No task has failed")


board()

if actor.role is Role.VIEWER:
    st.caption("Lists and counters show your own tasks; the chart counts everybody's.")
