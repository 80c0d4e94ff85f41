"""The form of a schedule: rule with preview, what runs, and the rules for the unusual."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from pydantic import BaseModel
from streamlit.delta_generator import DeltaGenerator

from engine import registry, ui
from engine.errors import InvalidInput, OffloadError
from engine.records.db import LockedOrFull
from engine.records.schedules import Schedule
from engine.registry import TaskType
from engine.services import schedules
from engine.services.reports import catalog
from engine.ui import format, forms
from engine.ui.schedules import rule
from engine.words import Actor

Save = Callable[[Mapping[str, Any]], Schedule]

_CATCH_UP = {
    "last": "run the last one",
    "all": "run them, up to a number",
    "skip": "skip them",
}
_LABELS = {
    "name": "Name",
    "cron": "Rule",
    "zone": "Time zone",
    "type": "What runs",
    "start": "Not before",
    "end": "Not after",
    "note": "Note",
}
_NONE: Mapping[str, DeltaGenerator] = {}
_OVERLAP = {
    "allow": "start the next all the same",
    "skip": "skip the next",
    "queue": "start the next when it has ended",
}


def new(actor: Actor) -> None:
    """Draw the form for a new schedule; afterwards its page is shown."""
    types = {t.name: t for t in registry.all_types() if not t.system and actor.role.includes(t.min_role)}
    if not types:
        st.info("Your role may not schedule any kind of task.", icon=":material/lock:")
        return
    _rule("new", "", "")
    st.session_state.setdefault("new-type", "report" if "report" in types else next(iter(types)))
    with st.container(horizontal=True):
        name = st.text_input("Name", key="new-name", max_chars=100, placeholder="Morning report")
        chosen = st.selectbox("What runs", list(types), format_func=lambda n: types[n].title, key="new-type")
    slots = {"name": st.empty()}
    given = {"name": name, "type": chosen, **_rules("new", {})}
    _payload(
        types[chosen or next(iter(types))],
        "new",
        "Create schedule",
        None,
        lambda payload: _save(lambda whole: schedules.create(actor, whole), "new", given, payload, slots),
    )


def change(actor: Actor, schedule: Schedule) -> None:
    """Draw the form that changes a schedule."""
    document, key = schedule.document(), f"edit-{schedule.id}"
    _rule(key, schedule.cron, schedule.zone)
    given = _rules(key, document)
    if not schedule.system:
        given["name"] = st.text_input("Name", schedule.name, key=f"{key}-name", max_chars=100)
    kind = registry.find(schedule.type)
    if kind is None or schedule.system:
        if st.button("Save changes", type="primary", icon=":material/save:"):
            _save(lambda whole: schedules.change(actor, schedule.id, whole), key, given, None)
        return
    text = json.dumps(document["payload"], indent=2, ensure_ascii=False)
    _as_json(
        key,
        "Save changes",
        text,
        lambda payload: _save(lambda whole: schedules.change(actor, schedule.id, whole), key, given, payload),
    )


def _rule(key: str, text: str, zone: str) -> None:
    """Draw the rule as a fragment: typing runs nothing else of the page."""

    @ui.live()
    def rule_preview() -> None:
        with st.container(border=True):
            rule.ask(key, text=text, zone=zone)

    rule_preview()


def _rules(key: str, now: Mapping[str, Any]) -> dict[str, Any]:
    """Draw the fields most schedules leave alone; return them."""
    found: dict[str, Any] = {}
    with st.expander("Missed runs, overlap, jitter, limits", icon=":material/tune:"):
        left, right = st.columns(2)
        with left:
            found["catch_up"] = _choice("Runs missed while no worker ran", _CATCH_UP, now, "catch_up", key)
            if found["catch_up"] == "all":
                found["catch_up_max"] = st.number_input(
                    "Most runs made up", 1, 1000, int(now.get("catch_up_max", 10)), key=f"{key}-catch-up-max"
                )
            found["overlap"] = _choice("While the run before goes on", _OVERLAP, now, "overlap", key)
            found["jitter_s"] = st.number_input(
                "Spread the starts over seconds", 0, 86_400, int(now.get("jitter_s", 0)), key=f"{key}-jitter"
            )
        with right:
            for name, label in (("start", "Not before"), ("end", "Not after")):
                found[name] = st.text_input(
                    f"{label} (ISO 8601, optional)",
                    now.get(name) or "",
                    key=f"{key}-{name}",
                    placeholder="2027-01-31T08:00",
                    help="Without an offset it is time of the schedule's zone.",
                )
            found["priority"] = st.number_input(
                "Priority (optional)", -100, 100, now.get("priority"), key=f"{key}-priority"
            )
            found["note"] = st.text_input("Note", now.get("note", ""), key=f"{key}-note", max_chars=500)
    return found


def _choice(label: str, words: Mapping[str, str], now: Mapping[str, Any], name: str, key: str) -> str:
    options = list(words)
    index = options.index(now[name]) if name in now else 0
    chosen = st.selectbox(label, options, index, format_func=words.__getitem__, key=f"{key}-{name}")
    return chosen or options[0]


def _payload(
    kind: TaskType, key: str, button: str, text: str | None, save: Callable[[Any], OffloadError | None]
) -> None:
    """Draw what the task type takes: the report's own form, or JSON with an example of its fields."""
    if kind.name != "report":
        _as_json(f"{key}-{kind.name}", button, text or _example(kind.payload), save, kind.payload)
        return
    reports = {report.name: report for report in catalog.all_types()}
    chosen = st.selectbox(
        "Report", list(reports), format_func=lambda n: reports[n].title, key=f"{key}-report"
    )
    report = reports[chosen or next(iter(reports))]
    st.caption(report.description)
    asked = forms.ask(report.form, key=f"{key}-{report.name}", button=button)
    if asked.values is not None and (error := save({"report": report.name, "params": asked.values})):
        asked.blame(error, prefix="payload.params.")


def _as_json(
    key: str,
    button: str,
    text: str,
    save: Callable[[Any], OffloadError | None],
    model: type[BaseModel] | None = None,
) -> None:
    with st.form(f"{key}-payload", border=False, enter_to_submit=False):
        written = st.text_area("What it takes, as JSON", text, key=f"{key}-json", height=160)
        sent = st.form_submit_button(button, type="primary", icon=":material/save:")
    if model is not None:
        with st.expander("Fields", icon=":material/data_object:"):
            for name, field in model.model_fields.items():
                need = "required" if field.is_required() else "optional"
                about = format.plain(field.description or "")
                st.caption(f"**{format.plain(field.alias or name)}** ({need}) {about}")
    if not sent:
        return
    try:
        payload = json.loads(written)
    except (ValueError, RecursionError) as error:
        st.error(f"This is not JSON: {format.plain(error)}.", icon=":material/error:")
        return
    if error_ := save(payload):
        _blame(error_)


def _save(
    save: Save, key: str, given: Mapping[str, Any], payload: Any, slots: Mapping[str, DeltaGenerator] = _NONE
) -> OffloadError | None:
    """Store a schedule and go to its page; return what was refused about the payload, telling the rest.

    `slots` are the places for messages right below their fields.
    """
    text, zone = rule.value(key)
    whole = {**given, "cron": text, "zone": zone}
    if payload is not None:
        whole["payload"] = payload
    try:
        stored = save(whole)
    except OffloadError as error:
        elsewhere = {n: t for n, t in getattr(error, "fields", {}).items() if not n.startswith("payload")}
        for name, message in elsewhere.items():
            text = format.plain(forms.sentence(message))
            if name in slots:
                slots[name].markdown(f":red[:material/error: {text}]")
            else:
                st.error(f"**{_LABELS.get(name, format.plain(name))}**: {text}", icon=":material/error:")
        return None if elsewhere else error
    except LockedOrFull:
        st.error("The database is busy or the disk is full. Nothing was stored.")
        return None
    for name in [n for n in st.session_state if str(n).startswith(f"{key}-")]:
        del st.session_state[name]
    st.session_state.setdefault("flash", []).append((f"Saved {stored.name}.", ":material/check_circle:"))
    st.session_state["schedule-open"] = stored.id
    st.rerun()
    return None


def _blame(error: OffloadError) -> None:
    fields = error.fields if isinstance(error, InvalidInput) else {}
    for name, message in fields.items():
        shown = format.plain(name.removeprefix("payload."))
        st.error(f"**{shown}**: {format.plain(message)}", icon=":material/error:")
    if not fields:
        st.error(format.plain(error.message), icon=":material/error:")


def _example(model: type[BaseModel]) -> str:
    """Return JSON with the required fields, to be filled in."""
    fields = {
        field.alias or name: (field.examples or [""])[0]
        for name, field in model.model_fields.items()
        if field.is_required()
    }
    return json.dumps(fields, indent=2, ensure_ascii=False)
