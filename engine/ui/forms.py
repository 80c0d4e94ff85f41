"""A form from a pydantic model, so that the page and the HTTP interface ask for the same and refuse the same.

`ask(model, ...)` draws a field per field of the model and returns the values once the form is sent; whoever
validates them raises `InvalidInput`, and `blame` puts its messages at the fields. A field's title,
description, length and choices come from the model; `json_schema_extra={"widget": ...}` says what the type
cannot:

    zone       a time zone, preset to the viewer's
    upload     a file of the viewer's; stands above the form, since other fields depend on it
    columns    columns of the upload in the field named by `of`; `numeric` for columns of numbers only
    lines      a text of several lines
    service, route, deploy    a text, with those that were recorded to choose from (`suggestions.of`)

`above` puts a field above the form, so that what others suggest follows it; `labels` calls choices by name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, BinaryIO, Literal, Protocol, Union, get_args, get_origin
from zoneinfo import available_timezones

import streamlit as st
from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from streamlit.delta_generator import DeltaGenerator

from engine.errors import InvalidInput, OffloadError
from engine.ui import format, suggestions, viewer

LONG_TEXT_CHARS = 500
"""From this length on, a text gets a field of several lines."""


_EMPTY = ("Field required", "String should have at least 1 character", "must not be empty")


class Uploaded(Protocol):
    """What the form needs to know of a stored file."""

    @property
    def id(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


Store = Callable[[str, BinaryIO], Uploaded]
"""Takes a file's name and content, returns the stored upload; raises InvalidInput or TooLarge."""


@dataclass
class Asked:
    """A form on the screen: the values if it was just sent, and a place for a message at each field."""

    values: dict[str, Any] | None
    _slots: dict[str, DeltaGenerator]

    def blame(self, error: OffloadError, *, prefix: str = "params.") -> None:
        """Show an error: each message at its field, what belongs to no field below the form."""
        fields = error.fields if isinstance(error, InvalidInput) else {}
        at_field = {
            n: t
            for name, t in fields.items()
            if (n := name.removeprefix(prefix).split(".")[0]) in self._slots
        }
        for name, text in at_field.items():
            self._slots[name].markdown(f":red[:material/error: {format.plain(sentence(text))}]")
        rest = [
            f"**{format.plain(name)}**: {format.plain(sentence(text))}"
            for name, text in fields.items()
            if name.removeprefix(prefix).split(".")[0] not in self._slots
        ]
        if rest or not at_field:
            text = "  \n".join(rest) or format.plain(error.message)
            self._slots[""].error(text, icon=":material/error:")


def ask(model: type[BaseModel], *, key: str, button: str, store: Store | None = None) -> Asked:
    """Draw a model's form; `key` is unique on the page and changes to clear the form."""
    slots: dict[str, DeltaGenerator] = {}
    values: dict[str, Any] = {}
    files: dict[str, Uploaded | None] = {}
    fields = model.model_fields
    for name in (n for n in fields if _widget(fields[n]) == "upload"):
        files[name] = _upload(fields[name], f"{key}-{name}", store)
        slots[name] = st.empty()
        if found := files[name]:
            values[name] = found.id
    for name in (n for n in fields if _extra(fields[n]).get("above")):
        values[name] = _field(name, fields[name], f"{key}-{name}", files, values)
        slots[name] = st.empty()
    with st.form(key, border=False, enter_to_submit=False):
        for name in (n for n in fields if n not in slots):
            values[name] = _field(name, fields[name], f"{key}-{name}", files, values)
            slots[name] = st.empty()
        sent = st.form_submit_button(button, type="primary", icon=":material/send:")
    slots[""] = st.empty()
    return Asked({n: v for n, v in values.items() if v is not None} if sent else None, slots)


def _field(
    name: str,
    field: FieldInfo,
    key: str,
    files: Mapping[str, Uploaded | None],
    given: Mapping[str, Any],
) -> Any:
    kind, widget = _type_of(field), _widget(field)
    label, about = _label(name, field), field.description
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if widget == "zone":
        return _zone(label, about, key)
    if widget == "columns":
        return _columns(field, kind, label, about, key, files)
    if (suggested := suggestions.of(widget, given)) is not None:
        return _suggested(suggested, label, about, key)
    if choices := _choices(kind):
        preset = default.value if isinstance(default, Enum) else default
        index = choices.index(preset) if preset in choices else 0
        words = {choice: _choice_label(choice) for choice in choices} | _extra(field).get("labels", {})
        return st.selectbox(label, choices, index=index, key=key, help=about, format_func=words.__getitem__)
    if kind is bool:
        return st.checkbox(label, value=bool(default), key=key, help=about)
    if kind in (int, float):
        return _number(field, kind, label, default, about, key)
    if kind is datetime:
        at = st.datetime_input(label, value=default, key=key, help=about, format="YYYY-MM-DD", step=900)
        return at.isoformat() if at else None
    if kind is date:
        day = st.date_input(label, value=default, key=key, help=about, format="YYYY-MM-DD")
        return day.isoformat() if isinstance(day, date) else None
    return _text(field, widget, label, default, about, key)


def _text(field: FieldInfo, widget: str, label: str, default: Any, about: str | None, key: str) -> str | None:
    longest = _bound(field, MaxLen, "max_length")
    example = str((field.examples or [""])[0])
    draw = st.text_area if widget == "lines" or (longest or 0) > LONG_TEXT_CHARS else st.text_input
    text = draw(label, value=default or "", max_chars=longest, key=key, help=about, placeholder=example)
    return text if text or not _optional(field) else None


def _number(field: FieldInfo, kind: Any, label: str, default: Any, about: str | None, key: str) -> Any:
    low, high = _bound(field, Ge, "ge"), _bound(field, Le, "le")
    step = 1 if kind is int else None
    value = st.number_input(label, low, high, default, step, key=key, help=about)
    return kind(value) if value is not None else None


def _zone(label: str, about: str | None, key: str) -> str:
    zones = _zones()
    mine = viewer.zone().key
    index = zones.index(mine) if mine in zones else zones.index("UTC")
    return st.selectbox(label, zones, index=index, key=key, help=about) or "UTC"


def _suggested(words: Mapping[str, str], label: str, about: str | None, key: str) -> str | None:
    """Ask for a text that was most likely recorded; another one may be typed as well."""
    return st.selectbox(
        label,
        list(words),
        index=None,
        key=key,
        help=about,
        placeholder="Choose, or type" if words else "Nothing recorded yet",
        format_func=lambda value: words.get(value, value),
        accept_new_options=True,
    )


def _columns(
    field: FieldInfo, kind: Any, label: str, about: str | None, key: str, files: Mapping[str, Uploaded | None]
) -> Any:
    extra = _extra(field)
    upload = files.get(str(extra.get("of")))
    names = list(upload.facts["numeric" if extra.get("numeric") else "columns"]) if upload else []
    missing = "Choose a file first" if upload is None else "None chosen"
    if get_origin(kind) in (tuple, list):
        return st.multiselect(label, names, key=key, help=about, disabled=not names, placeholder=missing)
    return st.selectbox(
        label, names, index=None, key=key, help=about, disabled=not names, placeholder=missing
    )


def _upload(field: FieldInfo, key: str, store: Store | None) -> Uploaded | None:
    """Store a chosen file once, however often the page runs, and say what was found in it."""
    file = st.file_uploader(
        _label("file", field), type=["csv", "xlsx"], key=key, help="CSV or Excel, up to 20 MB"
    )
    if file is None or store is None:
        st.session_state.pop(f"{key}-stored", None)
        return None
    kept = st.session_state.get(f"{key}-stored")
    if kept is None or kept[0] != file.file_id:
        try:
            with st.spinner("Reading the file"):
                kept = (file.file_id, store(file.name, file), "")
        except OffloadError as error:
            text = (
                next(iter(error.fields.values()), error.message)
                if isinstance(error, InvalidInput)
                else error.message
            )
            kept = (file.file_id, None, text)
        st.session_state[f"{key}-stored"] = kept
    if kept[2]:
        st.markdown(f":red[:material/error: {format.plain(sentence(kept[2]))}]")
    stored: Uploaded | None = kept[1]
    if stored:
        _found(stored)
    return stored


def _found(upload: Uploaded) -> None:
    rows = upload.facts.get("n_rows")
    columns = format.plural(len(upload.facts["columns"]), "column")
    rows_text = f", {format.plural(rows, 'row')}" if isinstance(rows, int) else ""
    st.caption(f":green[:material/check_circle:] Read: {columns}{rows_text}")


def sentence(text: str) -> str:
    """Say what is wrong as a person would; pydantic's own words are for programmers."""
    if text in _EMPTY:
        return "Please fill this in."
    return format.sentence(text) + ("" if text.endswith((".", "!", "?")) else ".")


def _label(name: str, field: FieldInfo) -> str:
    title = field.title or name.replace("_", " ").capitalize()
    may_stay_empty = not field.is_required() and field.get_default(call_default_factory=True) in (
        None,
        "",
        (),
    )
    return f"{title} (optional)" if may_stay_empty else title


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _widget(field: FieldInfo) -> str:
    return str(_extra(field).get("widget", ""))


def _optional(field: FieldInfo) -> bool:
    return NoneType in get_args(field.annotation)


def _type_of(field: FieldInfo) -> Any:
    """Return a field's type without `Annotated` and `None`."""
    kind: Any = field.annotation
    while get_origin(kind) in (Annotated, Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    return kind


def _choices(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [member.value for member in kind]
    return []


def _choice_label(value: object) -> str:
    return str(value).replace("_", " ").capitalize()


def _bound(field: FieldInfo, kind: type, name: str) -> Any:
    return next((getattr(part, name) for part in field.metadata if isinstance(part, kind)), None)


@lru_cache(maxsize=1)
def _zones() -> list[str]:
    return sorted(_usable(available_timezones()))


def _usable(names: Iterable[str]) -> set[str]:
    """Leave out files of the database that are no places."""
    return {n for n in names if "/" in n and not n.startswith(("posix/", "right/", "SystemV/"))} | {"UTC"}
