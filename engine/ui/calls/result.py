"""One call on the screen: its answer, where the time went, and the way to a schedule."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import altair as alt
import pyarrow as pa
import streamlit as st

from engine.errors import OffloadError
from engine.queries.calls import Call
from engine.records.tasks import Task
from engine.services import schedules
from engine.ui import charts, format, states, viewer, widgets
from engine.ui.calls import form
from engine.ui.calls.board import url
from engine.words import Actor, Role, TaskState

_PARTS = {
    "prepare_ms": "Prepare",
    "lookup_ms": "Name lookup",
    "connect_ms": "Connect",
    "tls_ms": "TLS",
    "first_byte_ms": "First byte",
    "body_ms": "Body",
}
_HEX = ("#8594A3", "#8E6CEB", "#1593AB", "#3F82EE", "#E57F24", "#2FA866")
_SHOWN_CHARS = 200_000


def draw(task: Task, call: Call | None, actor: Actor) -> None:
    """Draw a call with everything known about it."""
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            title = f"{call.method} {url(call.url)}" if call else format.plain(widgets.describe(task))
            st.subheader(title, anchor=False, width="content")
            st.markdown(states.look(task.state).badge, width="content")
        if task.error_message and task.state is not TaskState.SUCCEEDED:
            st.error(format.plain(task.error_message), icon=":material/error:")
        with st.container(horizontal=True):
            widgets.task_buttons(task, actor, key="call")
    result = widgets.result_of(task)
    if not isinstance(result, Mapping):
        if not task.state.ended:
            st.caption(":material/hourglass_top: The answer appears here.")
        return
    if "artifact_id" in result:
        st.info(
            f"The answer has {format.size(result.get('bytes'))}: too much to show.",
            icon=":material/description:",
        )
    elif "status" in result:
        _facts(result)
        _answer(result)
    if task.state is TaskState.SUCCEEDED:
        st.link_button("Download the result", f"/api/tasks/{task.id}/result", icon=":material/download:")
    if call and call.timing and not call.cached:
        waterfall(call.timing)


def _facts(result: Mapping[str, Any]) -> None:
    cached = "no"
    if result.get("from_cache"):
        cached = f"since {result.get('cached_at')}"
    facts = (
        ("Status", str(result["status"])),
        ("Size", format.size(result.get("n_bytes"))),
        ("Type", format.plain(result.get("content_type") or format.DASH)),
        ("Tries", str(result.get("tries", format.DASH))),
        ("Redirects", str(result.get("n_redirects", 0))),
        ("From cache", format.plain(cached)),
    )
    with st.grid("auto", min_column_width=120):
        for label, value in facts:
            st.markdown(f":gray[:small[{label}]]  \n{value}")


def _answer(result: Mapping[str, Any]) -> None:
    body, headers = st.tabs(["Answer", f"Headers ({len(result.get('headers', {}))})"])
    with body:
        if result.get("json") is not None:
            st.json(result["json"], expanded=2)
        elif text := result.get("text"):
            st.code(text[:_SHOWN_CHARS], language=None, height=400 if text.count("\n") > 16 else "content")
        elif result.get("base64"):
            st.caption("The answer is not text. Download the result to have it in base64.")
        else:
            st.caption("The answer has no body.")
    with headers:
        rows = [{"Header": name, "Value": value} for name, value in result.get("headers", {}).items()]
        st.dataframe(pa.Table.from_pylist(rows), hide_index=True) if rows else st.caption("None.")


def waterfall(timing: Mapping[str, float]) -> None:
    """Draw the parts of a call's time one after the other, in milliseconds."""
    rows = _steps(timing)
    total = format.duration(timing.get("total_ms"))
    longest = max(rows.to_pylist(), key=lambda row: row["until"] - row["from"])
    title = f"{total}, most of it: {longest['Part'].lower()}"
    charts.card(
        _waterfall(),
        rows,
        title=title,
        key="waterfall",
        note="Milliseconds since the start, measured by the client",
    )


def _steps(timing: Mapping[str, float]) -> pa.Table:
    """Lay the parts end to end; what no part accounts for went into preparing the request."""
    measured_ms = sum(float(timing.get(name, 0)) for name in _PARTS)
    timing = {**timing, "prepare_ms": max(0.0, float(timing.get("total_ms", 0)) - measured_ms)}
    rows, at_ms = [], 0.0
    for name, label in _PARTS.items():
        took_ms = float(timing.get(name, 0))
        rows.append({"Part": label, "from": round(at_ms, 2), "until": round(at_ms + took_ms, 2)})
        at_ms += took_ms
    return pa.Table.from_pylist(rows)


@lru_cache(maxsize=1)
def _waterfall() -> dict[str, Any]:
    labels = list(_PARTS.values())
    chart = (
        alt.Chart(alt.NamedData("rows"))
        .transform_calculate(took="datum.until - datum.from")
        .mark_bar(cornerRadius=3, height={"band": 0.6})
        .encode(
            y=alt.Y("Part:N", sort=labels, title=None, axis=alt.Axis(ticks=False, domain=False)),
            x=alt.X("from:Q", title="Time (ms)", axis=alt.Axis(tickCount=6)),
            x2="until",
            color=alt.Color("Part:N", legend=None, scale=alt.Scale(domain=labels, range=list(_HEX))),
            tooltip=[alt.Tooltip("Part:N"), alt.Tooltip("took:Q", title="Time (ms)", format=",.1~f")],
        )
    )
    spec: dict[str, Any] = chart.to_dict()
    for given_elsewhere in ("data", "config"):
        spec.pop(given_elsewhere, None)
    return {"height": 210, **spec}


def items(rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the items of a bulk in their order."""
    table = pa.Table.from_pylist(
        [
            {
                "#": row["index"] + 1,
                "State": row["state"].capitalize(),
                "Status": row["status"],
                "Method": row["method"],
                "Address": row["url"],
                "Took (ms)": row["duration_ms"],
                "Error": (row["error"] or {}).get("message", ""),
            }
            for row in rows
        ]
    )
    st.dataframe(table, hide_index=True, key="items")


def save_as_schedule(task: Task, actor: Actor) -> None:
    """Offer to make the same call on a schedule; its sealed secrets go with it."""
    if actor.name != task.owner or not actor.role.includes(Role.STAFF):
        return
    with (
        st.expander("Save as schedule", icon=":material/event_repeat:"),
        st.form(f"schedule-{task.id}", border=False),
    ):
        name = st.text_input("Name", max_chars=100, key=f"schedule-name-{task.id}")
        with st.container(horizontal=True):
            cron = st.text_input(
                "Cron expression", "0 6 * * *", max_chars=256, key=f"schedule-cron-{task.id}"
            )
            zone = st.text_input("Zone", viewer.zone().key, key=f"schedule-zone-{task.id}")
        if not st.form_submit_button("Create schedule", icon=":material/save:"):
            return
        given = {"name": name, "cron": cron, "zone": zone, "type": task.type, "payload": _payload(task)}
        try:
            made = schedules.create(actor, given)
        except OffloadError as error:
            form.blame(error)
            return
        st.success(f"Saved. It runs next {format.relative(made.next_at_ms)}.", icon=":material/event_repeat:")
        st.page_link("schedules.py", label="Open the schedule", query_params={"id": made.id})


def _payload(task: Task) -> dict[str, Any]:
    """Return what a task was given, without what was refused of it and what Offload added."""
    payload = {n: v for n, v in json.loads(task.payload).items() if v is not None and n != "free"}
    if refused := payload.pop("refused", {}):
        payload["calls"] = [c for i, c in enumerate(payload["calls"]) if str(i) not in refused]
    return payload
