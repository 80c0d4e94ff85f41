"""The forms of the API calls page: one call, or several at once."""

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine import lifecycle, settings
from engine.errors import InvalidInput, OffloadError
from engine.services.calls.model import METHODS
from engine.ui import format, forms, toasts
from engine.words import Actor

_BODIES = {"None": "", "JSON": "json", "Text": "text"}
_NUMBER = "calls-made"
"""Counts what was handed over, so that the next form is empty and nothing is sent twice."""


def one(actor: Actor) -> None:
    """Draw the form of one call, and hand it over."""
    key = f"call-{st.session_state.setdefault(_NUMBER, 0)}"
    with st.form(key, border=False, enter_to_submit=False):
        with st.container(horizontal=True):
            method = st.selectbox("Method", METHODS, key=f"{key}-method", width=120)
            url = st.text_input(
                "Address", key=f"{key}-url", placeholder="https://api.example.com/v1/items", max_chars=4_096
            )
        slots = {"url": st.empty()}
        params = st.text_area(
            "Parameters (optional)",
            key=f"{key}-params",
            placeholder="page = 2",
            help="One `name = value` a line",
        )
        slots["params"] = st.empty()
        headers = st.text_area(
            "Headers (optional)",
            key=f"{key}-headers",
            placeholder="Authorization: Bearer ...",
            help="One `Name: value` a line. Secrets are sealed and never shown again.",
        )
        slots["headers"] = st.empty()
        kind = st.segmented_control("Body", list(_BODIES), default="None", required=True, key=f"{key}-kind")
        body = st.text_area("Content of the body", key=f"{key}-body", label_visibility="collapsed")
        slots["body"] = slots["json"] = slots["text"] = st.empty()
        with st.expander("Time, tries and cache", icon=":material/tune:"):
            limits = _limits(key)
        sent = st.form_submit_button("Make the call", type="primary", icon=":material/send:")
    slots[""] = st.empty()
    if not sent:
        return
    try:
        given = {"method": method, "url": url.strip(), **limits, **_body(_BODIES[kind or "None"], body)}
        given["params"] = _lines(params, "=", "params")
        given["headers"] = _lines(headers, ":", "headers")
        lifecycle.submit(actor, "api_call", given)
    except OffloadError as error:
        forms.Asked(None, slots).blame(error, prefix="")
        return
    _handed_over("The call is made in the background. Its answer will be in the list.")


def several(actor: Actor) -> None:
    """Draw the form of a bulk: one address a line."""
    key = f"bulk-{st.session_state.setdefault(_NUMBER, 0)}"
    most = settings.get().call_bulk_max
    with st.form(key, border=False, enter_to_submit=False):
        text = st.text_area(
            f"Addresses, one a line, at most {most}",
            key=f"{key}-urls",
            height=220,
            placeholder="https://api.example.com/v1/items/1\nPOST https://api.example.com/v1/refresh",
            help="GET, unless the line begins with another method",
        )
        headers = st.text_area(
            "Headers of all calls (optional)", key=f"{key}-headers", help="One `Name: value` a line"
        )
        sent = st.form_submit_button("Make the calls", type="primary", icon=":material/send:")
    if not sent:
        return
    try:
        shared = _lines(headers, ":", "headers")
        calls = [{**_target(line), "headers": shared} for line in map(str.strip, text.splitlines()) if line]
        lifecycle.submit(actor, "call_bulk", {"calls": calls})
    except OffloadError as error:
        blame(error)
        return
    _handed_over("The calls are made in the background. One that was refused is listed with the reason.")


def blame(error: OffloadError) -> None:
    """Say what is wrong, field by field."""
    fields: Mapping[str, str] = error.fields if isinstance(error, InvalidInput) else {}
    lines = [f"**{format.plain(_label(name))}**: {format.plain(text)}" for name, text in fields.items()]
    st.error("  \n".join(lines) or format.plain(error.message), icon=":material/error:")


def _limits(key: str) -> dict[str, Any]:
    found = settings.get()
    timeout_s = st.number_input(
        "Seconds one try may take", 1.0, 120.0, float(found.call_timeout_s), 1.0, key=f"{key}-timeout"
    )
    retries = st.number_input("Further tries", 0, 9, found.call_tries - 1, key=f"{key}-retries")
    ttl_s = st.number_input(
        "Keep the answer for seconds (0 for not at all)", 0, 604_800, 0, 60, key=f"{key}-ttl"
    )
    return {"timeout_s": timeout_s, "retries": retries, "cache_ttl_s": ttl_s}


def _body(kind: str, text: str) -> dict[str, Any]:
    if kind == "text":
        return {"text": text}
    if kind != "json":
        return {}
    try:
        return {"json": json.loads(text)}
    except (ValueError, RecursionError) as error:
        raise InvalidInput(fields={"body": f"this is not JSON: {error}"}) from error


def _lines(text: str, mark: str, field: str) -> dict[str, str]:
    """Read `name<mark>value` lines; raise InvalidInput naming a line without the mark."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, given, value = line.partition(mark)
        if not given:
            raise InvalidInput(fields={field: f'line {number} has no "{mark}"'})
        found[name.strip()] = value.strip()
    return found


def _target(line: str) -> dict[str, str]:
    method, blank, url = line.partition(" ")
    if blank and method.upper() in METHODS:
        return {"method": method.upper(), "url": url.strip()}
    return {"url": line}


def _label(path: str) -> str:
    parts = path.split(".")
    if parts[0] == "calls" and len(parts) > 1 and parts[1].isdigit():
        return f"Line {int(parts[1]) + 1}"
    return {"url": "Address", "params": "Parameters", "payload": "Call"}.get(parts[0], parts[0].capitalize())


def _handed_over(text: str) -> None:
    st.session_state[_NUMBER] += 1
    toasts.tell(text)
    st.rerun()
