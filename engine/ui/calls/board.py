"""The lists of the API calls page: calls, bulks, the limit, the cache."""

from collections.abc import Sequence

import streamlit as st

from engine import settings
from engine.queries import calls as reads
from engine.queries.calls import CacheUse, Call, Used
from engine.records.tasks import Task
from engine.services.calls import cache
from engine.ui import format, states, viewer, widgets
from engine.words import Actor, Role, TaskState

PAGE = "api_calls.py"


def call_row(call: Call, actor: Actor) -> None:
    """Draw one call of the history on two lines, linked to its answer."""
    look = states.look(call.state)
    owner = f" · {format.plain(call.owner)}" if actor.role.includes(Role.OPS) else ""
    with st.container(border=True, gap="xxsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.page_link(
                PAGE,
                label=f"{look.mark} {call.method} {format.plain(_short(call.url))}",
                query_params={"id": call.task_id},
            )
            st.markdown(_standing(call), width="content")
        st.caption(f"{format.relative(call.created_at_ms)}{owner}{_details(call)}")


def bulk_row(task: Task, actor: Actor) -> None:
    """Draw one bulk with its progress."""
    with st.container(gap="small"):
        widgets.task_row(task, actor, key="bulk", kind=False)
        st.page_link(PAGE, label="Its calls", query_params={"id": task.id}, icon=":material/list:")


def limit_line(used: Used, target: str) -> None:
    """Say how much of the hour's limit the address called last has used."""
    text = f"{used.n_used} of {used.limit} calls to {url(target)} in the last hour"
    if used.opens_at_ms is None:
        st.caption(f":material/speed: {text}")
    else:
        opens = format.moment(used.opens_at_ms, viewer.zone())
        st.warning(f"{text}; the next is possible {opens}.", icon=":material/speed:")


def latest_limit(actor: Actor, history: Sequence[Call]) -> None:
    """Draw the limit of the address the viewer called last."""
    mine = next((call for call in history if call.owner == actor.name), None)
    if mine:
        target = reads.target_of(mine.task_id)
        if target:
            limit_line(reads.used(actor.name, target, settings.get().calls_per_hour), target)


def cache_card(actor: Actor, use: CacheUse) -> None:
    """Draw what the cache did for the viewer, if it did anything, and a button that empties it."""
    looked = use.n_hits + use.n_misses
    if not looked and not use.n_kept:
        return
    share = format.percent(use.n_hits / looked) if looked else format.DASH
    kept = f"{format.plural(use.n_kept, 'answer')} kept, {format.size(use.kept_bytes)}"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(
            f":material/cached: Cache, last {use.n_days} days: "
            f"answered {use.n_hits} of {looked} calls ({share}); {kept}",
            width="content",
        )
        if use.n_kept:
            st.button("Empty", type="tertiary", on_click=widgets.act, args=(lambda: _empty(actor),))


def url(text: str) -> str:
    """Return an address as Markdown that does not become a link: it leads away from here."""
    return f"`{text.replace('`', '%60')}`"


def _empty(actor: Actor) -> str:
    return f"{format.plural(cache.forget(actor), 'answer')} forgotten."


def _standing(call: Call) -> str:
    if call.status is not None:
        color = "green" if call.status < 400 else "red"
        kept = " :gray-badge[:material/cached: Cache]" if call.cached else ""
        return f":{color}-badge[{call.status}]{kept}"
    if call.state is TaskState.FAILED and call.error_code:
        return f":red-badge[{format.plain(call.error_code)}]"
    return states.look(call.state).badge


def _details(call: Call) -> str:
    parts = []
    if total_ms := call.timing.get("total_ms"):
        parts.append(format.duration(total_ms))
    if call.n_bytes is not None:
        parts.append(format.size(call.n_bytes))
    if call.n_tries > 1:
        parts.append(f"{call.n_tries} tries")
    return "".join(f" · {part}" for part in parts)


def _short(url: str) -> str:
    text = url.partition("://")[2]
    return text if len(text) <= 70 else text[:67] + "..."
