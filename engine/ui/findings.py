"""Findings on the Performance page: what is wrong, since when, what it costs, and what to do about it."""

import streamlit as st

from engine import clock
from engine.queries.findings import Finding
from engine.services import findings
from engine.ui import format, viewer, widgets
from engine.words import Actor, Role

DAY_MS = 86_400_000
MUTE_D = 7
BADGES = {
    "open": ":orange-badge[:material/flag: Open]",
    "acknowledged": ":blue-badge[:material/visibility: Acknowledged]",
    "muted": ":gray-badge[:material/volume_off: Muted]",
    "fixed": ":green-badge[:material/check_circle: Fixed]",
}


def states() -> tuple[str, ...]:
    """Draw the choice of states; return the chosen ones, the open ones if none is."""
    chosen = st.pills(
        "State",
        list(BADGES),
        selection_mode="multi",
        default=["open"],
        key="findings",
        format_func=str.capitalize,
    )
    return tuple(chosen) or ("open",)


def draw(found: list[Finding], actor: Actor, *, filtered: bool) -> None:
    """Draw findings, the costliest first; staff may acknowledge, mute, and call them fixed."""
    if not found:
        if filtered:
            widgets.hidden_by_filter("No finding in these states for this service and route.")
        else:
            widgets.good_news("Nothing is found wrong")
        return
    for finding in found:
        _one(finding, actor)


def _one(finding: Finding, actor: Actor) -> None:
    with st.container(border=True, gap="xsmall", key=f"finding-{finding.id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{finding.title}** · {format.plain(finding.name)}", width="content")
            st.markdown(BADGES[finding.state], width="content")
        st.markdown(f":material/lightbulb: {finding.advice}")
        st.caption(format.plain(format.sentence(finding.example)))
        st.caption(_story(finding), help=format.utc(finding.last_at_ms))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if finding.correlation_id:
                st.page_link(
                    "performance.py",
                    label="Latest example",
                    query_params={"request": finding.correlation_id},
                    icon=":material/account_tree:",
                )
            if actor.role.includes(Role.STAFF):
                _buttons(finding, actor)


def _story(finding: Finding) -> str:
    parts = [
        f"seen {format.plural(finding.n, 'time')}",
        f"cost {format.duration(finding.cost_us / 1000)}",
        f"first {viewer.when(finding.first_at_ms)}",
        f"last {viewer.when(finding.last_at_ms)}",
        f"service {format.plain(finding.service)}",
    ]
    if finding.n_reopened:
        parts.append(f"came back {format.plural(finding.n_reopened, 'time')}")
    if finding.owner:
        parts.append(f"looked after by {format.plain(finding.owner)}")
    if finding.muted_until_ms:
        parts.append(f"muted until {format.moment(finding.muted_until_ms, viewer.zone())}")
    if finding.note:
        parts.append(format.plain(finding.note))
    return " · ".join(parts)


def _buttons(finding: Finding, actor: Actor) -> None:
    chosen = {
        "open": (
            ("acknowledged", "I look after it"),
            ("muted", f"Mute {MUTE_D} days"),
            ("fixed", "It is fixed"),
        ),
        "acknowledged": (("fixed", "It is fixed"), ("muted", f"Mute {MUTE_D} days"), ("open", "Open again")),
        "muted": (("open", "Open again"),),
        "fixed": (("open", "Open again"),),
    }[finding.state]
    for state, label in chosen:
        st.button(
            label,
            key=f"finding-{finding.id}-{state}",
            type="tertiary",
            on_click=widgets.act,
            args=(lambda state=state: _change(finding, actor, state),),
        )


def _change(finding: Finding, actor: Actor, state: str) -> str:
    until = clock.now_ms() + MUTE_D * DAY_MS if state == "muted" else None
    findings.set_state(actor, finding.id, state, muted_until_ms=until)
    if state == "acknowledged":
        findings.describe(actor, finding.id, owner=actor.name)
    return {
        "acknowledged": "You look after it.",
        "muted": f"Muted for {MUTE_D} days.",
        "fixed": "Fixed; it opens again by itself if it is seen again.",
        "open": "Open again.",
    }[state]
