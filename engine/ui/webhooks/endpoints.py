"""Webhook endpoints on the screen. A secret is shown once, right after it was made."""

from collections.abc import Sequence

import streamlit as st

from engine.errors import OffloadError
from engine.lib import http
from engine.records.webhooks import Endpoint
from engine.services import webhooks
from engine.services.webhooks.endpoints import PATTERNS, Made
from engine.ui import format, forms, viewer, widgets
from engine.ui.calls import board
from engine.words import Actor, Role

_SECRET = "webhook-secret"  # noqa: S105 - a key of the session's state
_NUMBER = "webhooks-made"


def add(actor: Actor) -> None:
    """Draw the form for a new endpoint."""
    key = f"endpoint-{st.session_state.setdefault(_NUMBER, 0)}"
    with st.form(key, border=False, enter_to_submit=False):
        url = st.text_input(
            "Address", key=f"{key}-url", placeholder="https://hooks.example.com/offload", max_chars=2_000
        )
        slots = {"url": st.empty()}
        events = st.multiselect("Events", PATTERNS, default=["task.*"], key=f"{key}-events")
        slots["events"] = st.empty()
        about = st.text_input("Description (optional)", key=f"{key}-about", max_chars=300)
        slots["description"] = st.empty()
        sent = st.form_submit_button("Add endpoint", type="primary", icon=":material/add:")
    slots[""] = st.empty()
    if not sent:
        return
    try:
        made = webhooks.create(actor, {"url": url, "events": events, "description": about})
    except OffloadError as error:
        forms.Asked(None, slots).blame(error, prefix="")
        return
    st.session_state[_NUMBER] += 1
    _remember(made)
    st.rerun()


def secret() -> None:
    """Show a secret that was just made, until it is put away."""
    shown: tuple[str, str] | None = st.session_state.get(_SECRET)
    if shown is None:
        return
    with st.container(border=True):
        st.markdown(
            f":green[:material/key:] The secret of **{format.plain(shown[0])}**. "
            "Copy it now: it is not shown again."
        )
        st.code(shown[1], language=None)
        if st.button("I have copied it", type="primary", icon=":material/check:"):
            del st.session_state[_SECRET]
            st.rerun()


def listing(found: Sequence[Endpoint], actor: Actor) -> None:
    """Draw the endpoints, oldest first."""
    for endpoint in found:
        _card(endpoint, actor)
    if not found:
        widgets.nothing_yet(
            "No endpoints yet",
            "Add one to be told when tasks end, due times are missed or alerts open.",
            icon=":material/webhook:",
        )


def _card(endpoint: Endpoint, actor: Actor) -> None:
    owner = f" · {format.plain(endpoint.owner)}" if actor.role.includes(Role.OPS) else ""
    with st.container(border=True, gap="xsmall", key=f"endpoint-{endpoint.id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"{board.url(http.mask_url(endpoint.url))}", width="content")
            st.markdown(_standing(endpoint), width="content")
        about = f"{format.plain(endpoint.description)} · " if endpoint.description else ""
        st.caption(f"{about}{format.plain(', '.join(endpoint.patterns))}{owner}")
        if not endpoint.active and endpoint.disabled_reason:
            when = format.moment(endpoint.disabled_at_ms, viewer.zone())
            reason = format.plain(endpoint.disabled_reason.rstrip("."))
            st.warning(
                f"Off since {when}: {reason}. Nothing is sent to it; what failed can be replayed after it is "
                "on again.",
                icon=":material/power_off:",
            )
        elif endpoint.exhausted_in_a_row:
            n_failed = format.plural(endpoint.exhausted_in_a_row, "delivery", "deliveries")
            st.caption(f":orange[:material/warning: {n_failed} in a row failed for good.]")
        with st.container(horizontal=True, gap="small"):
            _buttons(endpoint, actor)


def _buttons(endpoint: Endpoint, actor: Actor) -> None:
    key = endpoint.id
    st.button(
        "Send test event",
        key=f"test-{key}",
        icon=":material/send:",
        on_click=widgets.act,
        args=(lambda: _test(actor, key),),
    )
    turn, icon = ("Switch off", "power_off") if endpoint.active else ("Switch on", "power")
    st.button(
        turn,
        key=f"turn-{key}",
        icon=f":material/{icon}:",
        on_click=widgets.act,
        args=(lambda: _turn(actor, key, not endpoint.active),),
    )
    if st.button("Rotate secret", key=f"rotate-{key}", icon=":material/key:"):
        _ask_rotation(endpoint, actor)
    if st.button("Remove", key=f"remove-{key}", icon=":material/delete:", type="tertiary"):
        widgets.confirm(
            "Remove this endpoint?",
            f"{board.url(http.mask_url(endpoint.url))} is told nothing any more; what waits for it is "
            "dropped. This cannot be undone.",
            "Remove endpoint",
            lambda: _remove(actor, key),
        )


def _ask_rotation(endpoint: Endpoint, actor: Actor) -> None:
    @st.dialog("Give it a new secret?")
    def ask() -> None:
        st.write("The new secret is shown once. For 24 hours both sign, so that the receiver can follow.")
        leaked = st.checkbox("The old secret has leaked: end it at once")
        force = st.checkbox("Also if an earlier rotation is under way")
        if st.button("Rotate secret", type="primary", key="rotate-now"):
            try:
                _remember(webhooks.rotate(actor, endpoint.id, leaked=leaked, force=force))
            except OffloadError as error:
                st.error(format.plain(error.message), icon=":material/error:")
                return
            st.rerun()

    ask()


def _standing(endpoint: Endpoint) -> str:
    if endpoint.active:
        return ":green-badge[:material/power: On]"
    return ":gray-badge[:material/power_off: Off]"


def _remember(made: Made) -> None:
    st.session_state[_SECRET] = (http.mask_url(made.endpoint.url), made.secret)


def _test(actor: Actor, endpoint_id: str) -> str:
    webhooks.send_test(actor, endpoint_id)
    return "A test event is on its way; see the log."


def _turn(actor: Actor, endpoint_id: str, on: bool) -> str:
    webhooks.change(actor, endpoint_id, {"active": on})
    return "Switched on." if on else "Switched off."


def _remove(actor: Actor, endpoint_id: str) -> str:
    webhooks.remove(actor, endpoint_id)
    return "Removed."
