"""The delivery log on the screen: what was sent to whom, how it went, and once more."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import streamlit as st

from engine import clock
from engine.services import webhooks
from engine.ui import format, viewer, widgets
from engine.ui.calls import board
from engine.words import Actor

_LOOKS = {
    "waiting": (":material/hourglass_top:", "primary"),
    "delivered": (":material/check_circle:", "green"),
    "failed": (":material/error:", "red"),
    "dropped": (":material/block:", "gray"),
}
SINCE = {"1 hour": 3_600_000, "24 hours": 86_400_000, "7 days": 604_800_000}
DAY = "24 hours"
PAGE = "webhooks.py"


def since_ms(chosen: str | None) -> int:
    """Return when a key of `SINCE` begins; 0, the beginning of all time, for None."""
    return clock.now_ms() - SINCE[chosen] if chosen else 0


def badge(state: str) -> str:
    """Return Markdown for the state of a delivery."""
    icon, color = _LOOKS[state]
    return f":{color}-badge[{icon} {state.capitalize()}]"


def filters() -> tuple[str | None, str | None]:
    """Draw the filter, which lives in the address; return a state and a key of `SINCE`, None for all."""
    with st.container(horizontal=True):
        state = st.pills("State", list(_LOOKS), key="state", bind="query-params", format_func=str.capitalize)
        since = st.pills("Made in the last", list(SINCE), key="since", bind="query-params")
    return state, since


def counters(counts: Mapping[str, int]) -> None:
    """Draw the counter strip of the last day, each number a link to its rows."""
    widgets.counters(
        [
            widgets.Counter(
                state.capitalize(),
                n,
                PAGE,
                {"view": "Log", "state": state.capitalize(), "since": DAY},
                f":{_LOOKS[state][1]}[{_LOOKS[state][0]}]",
            )
            for state, n in counts.items()
        ]
    )


def table(rows: Sequence[Mapping[str, Any]], key: str) -> str | None:
    """Draw deliveries, newest first; return the id of the row that was clicked."""
    columns = pa.table(
        {
            "State": pa.array([row["state"].capitalize() for row in rows]),
            "Event": pa.array([row["event"] for row in rows]),
            "Address": pa.array([row["url"] for row in rows]),
            "Status": pa.array([row["status"] for row in rows], pa.int32()),
            "Attempts": pa.array([row["n_attempts"] for row in rows], pa.int32()),
            "Took (ms)": pa.array([row["duration_ms"] for row in rows], pa.int32()),
            "made": pa.array(
                [datetime.fromisoformat(row["created_at"]) for row in rows], pa.timestamp("ms", "UTC")
            ),
        }
    )
    event = st.dataframe(
        columns,
        key=key,
        hide_index=True,
        row_height=widgets.TABLE_ROW_PX,
        column_config={"made": widgets.moment_column(f"Made ({viewer.zone().key})")},
        on_select="rerun",
        selection_mode="single-cell",
        placeholder=format.DASH,
        alt="Deliveries, newest first; choose one to see its attempts",
    )
    cells = event.selection.cells
    return rows[cells[0][0]]["delivery_id"] if cells and cells[0][0] < len(rows) else None


def replay_form(actor: Actor) -> None:
    """Offer to deliver again what failed."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        since = st.selectbox("Failed in the last", list(SINCE), index=1, key="replay-since", width=160)
        st.button(
            "Deliver again",
            icon=":material/replay:",
            key="replay-failed",
            on_click=widgets.act,
            args=(lambda: _replay_failed(actor, SINCE[since or DAY]),),
        )


def one(found: Mapping[str, Any], actor: Actor) -> None:
    """Draw one delivery: where it stands, its attempts, the bytes that are sent."""
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader(format.plain(found["event"]), anchor=False, width="content")
            st.markdown(badge(found["state"]), width="content")
        st.caption(f"{board.url(found['url'])} · message `{found['message_id']}`")
        if found["error"]:
            st.error(format.plain(found["error"]["message"]), icon=":material/error:")
        if found["next_attempt_at"]:
            next_at_ms = clock.to_ms(datetime.fromisoformat(found["next_attempt_at"]))
            st.info(f"Next attempt {viewer.when(next_at_ms)}.", icon=":material/hourglass_top:")
        if found["state"] != "waiting" or found["next_attempt_at"] is None:
            st.button(
                "Deliver again",
                icon=":material/replay:",
                key="replay-one",
                on_click=widgets.act,
                args=(lambda: _replay(actor, found["delivery_id"]),),
            )
        if found["task_id"]:
            st.page_link("tasks.py", label="Its task", query_params={"id": found["task_id"]})
    for attempt in reversed(found["attempts"]):
        _attempt(attempt)
    with st.expander("What is sent", icon=":material/data_object:"):
        st.json(json.loads(found["body"]), expanded=2)


def _attempt(attempt: Mapping[str, Any]) -> None:
    status = attempt["status"]
    mark = f":{'green' if status and status < 300 else 'red'}-badge[{status or 'no answer'}]"
    with st.container(border=True, gap="xxsmall"):
        st.markdown(f"**Attempt {attempt['attempt']}** {mark}")
        began_ms = clock.to_ms(datetime.fromisoformat(attempt["started_at"]))
        told = f"{format.moment(began_ms, viewer.zone())} · {format.duration(attempt['duration_ms'])}"
        st.caption(told, help=format.utc(began_ms))
        if attempt["error"]:
            st.markdown(f":red[{format.plain(attempt['error']['message'])}]")
        if attempt["answer"]:
            st.code(attempt["answer"], language=None)


def _replay(actor: Actor, delivery_id: str) -> str:
    webhooks.replay(actor, delivery_id)
    return "It is delivered again, under the same message id."


def _replay_failed(actor: Actor, window_ms: int) -> str:
    ids = webhooks.replay_failed(actor, since_ms=clock.now_ms() - window_ms)
    return f"{format.plural(len(ids), 'delivery', 'deliveries')} made again."
