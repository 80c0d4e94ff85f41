"""A schedule as people write it, and what is checked before it is stored: all of it, not at the first run."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from engine import clock, registry
from engine.errors import Forbidden, InvalidInput, RateLimited
from engine.lib import cron
from engine.records import db
from engine.records.schedules import Schedule
from engine.registry import TaskType
from engine.words import Actor

_DAY_S = 86_400


class Draft(BaseModel):
    """The fields of a schedule that people choose."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=100, description="Unique among the owner's schedules")
    cron: str = Field(description="Five fields, or @daily and the like")
    zone: str = Field("UTC", max_length=100, description="Zone of the tz database")
    type: str = Field(max_length=100, description="Task type")
    payload: dict[str, Any] = Field(default_factory=dict, description="What the task type takes")
    enabled: bool = Field(True, description="Whether it runs")
    priority: int | None = Field(None, ge=-100, le=100, description="Higher runs first")
    catch_up: Literal["skip", "last", "all"] = Field(
        "last", description="What happens to due times missed while no worker ran"
    )
    catch_up_max: int = Field(10, ge=1, le=1000, description="Most missed due times made up, for `all`")
    overlap: Literal["allow", "skip", "queue"] = Field(
        "allow", description="What happens while the task before has not ended"
    )
    jitter_s: int = Field(0, ge=0, le=_DAY_S, description="Starts are spread over so many seconds")
    start: str | None = Field(None, max_length=40, description="No due time before, ISO 8601")
    end: str | None = Field(None, max_length=40, description="No due time after, ISO 8601")
    note: str = Field("", max_length=500, description="For people")

    @field_validator("name")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("must be printable text on one line")
        return value

    @field_validator("start", "end")
    @classmethod
    def _none_if_empty(cls, value: str | None) -> str | None:
        return value or None


@dataclass
class Checked:
    """The columns of a valid draft, or what is wrong with it by field."""

    values: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    code: str = "invalid_input"
    position: int | None = None
    """The wrong character of the cron expression, counted from 0."""

    def or_raise(self) -> dict[str, Any]:
        """Return the columns; raise InvalidInput naming each wrong field."""
        if not self.faults:
            return self.values
        only = next(iter(self.faults.values()))
        message = only if len(self.faults) == 1 else "The schedule is not valid."
        raise InvalidInput(message, fields=self.faults, code=self.code, position=self.position)


def check(actor: Actor, given: Mapping[str, Any]) -> Checked:
    """Check a draft as `actor` would store it; raise Forbidden for a type beyond the actor's role."""
    found = Checked()
    try:
        draft = Draft.model_validate(dict(given))
    except ValidationError as error:
        found.faults = registry.field_messages(error)
        _check_cron(found, given.get("cron"), given.get("zone") or "UTC")
        return found
    _check_cron(found, draft.cron, draft.zone)
    payload = _check_payload(found, actor, draft)
    starts_at_ms = _moment(found, "start", draft.start, draft.zone)
    ends_at_ms = _moment(found, "end", draft.end, draft.zone)
    found.values = {
        **draft.model_dump(exclude={"start", "end", "payload"}),
        "enabled": int(draft.enabled),
        "payload": payload,
        "starts_at_ms": starts_at_ms,
        "ends_at_ms": ends_at_ms,
    }
    if not found.faults:
        found.values["next_at_ms"] = first_due(found.values, clock.now_ms())
        if found.values["next_at_ms"] is None and draft.enabled:
            found.faults["end"] = "There is no due time between the start and the end."
    return found


def as_draft(schedule: Schedule) -> dict[str, Any]:
    """Return the fields people chose, as they would write them."""
    document = schedule.document()
    return {name: document[name] for name in Draft.model_fields}


def first_due(values: Mapping[str, Any], after_ms: int) -> int | None:
    """Return the first due time after a moment within start and end, in milliseconds."""
    begin_ms = max(after_ms, (values["starts_at_ms"] or 0) - 1)
    found = cron.next_after(values["cron"], values["zone"], begin_ms)
    ends_at_ms = values["ends_at_ms"]
    return None if found is not None and ends_at_ms is not None and found > ends_at_ms else found


def admit(actor: Actor, type_name: str) -> TaskType | None:
    """Return a task type the actor may schedule, None where there is none; raise Forbidden."""
    task_type = registry.find(type_name)
    if task_type is None:
        return None
    if task_type.system and actor.via != "system":
        raise Forbidden(f"Tasks of type {type_name} are started by the installation itself.")
    if not actor.role.includes(task_type.min_role):
        raise Forbidden(f"Scheduling {type_name} needs the role {task_type.min_role}; you are {actor.role}.")
    return task_type


def _check_cron(found: Checked, text: Any, zone: Any) -> None:
    """Add what is wrong with expression and zone, unless the model said so already."""
    if isinstance(text, str) and "cron" not in found.faults:
        try:
            cron.validate(text.strip())
        except InvalidInput as error:
            found.faults["cron"] = error.message
            found.code, found.position = error.code, error.position
    if isinstance(zone, str) and "zone" not in found.faults:
        try:
            cron.validate("* * * * *", zone)
        except InvalidInput as error:
            found.faults["zone"] = error.message


def _check_payload(found: Checked, actor: Actor, draft: Draft) -> str:
    """Return the payload as the task type stores it."""
    task_type = admit(actor, draft.type)
    if task_type is None:
        known = ", ".join(t.name for t in registry.all_types() if not t.system)
        found.faults["type"] = f"There is no such task type. There are: {known}."
        return "{}"
    try:
        model = task_type.parse(draft.payload)
        _rehearse(actor, task_type, model)
        if task_type.protect:
            model = task_type.protect(actor.name, model)
        return registry.canonical(model)
    except InvalidInput as error:
        faults = {f"payload.{path}": text for path, text in error.fields.items()}
        found.faults |= faults or {"payload": error.message}
        return json.dumps(draft.payload)


def _rehearse(actor: Actor, task_type: TaskType, model: BaseModel) -> None:
    """Let the type check a payload as it would at a submit, and undo what that wrote.

    A limit that is reached now says nothing about the first run.
    """
    if task_type.on_submit is None:
        return
    with suppress(_Undo, RateLimited), db.main().write() as tx:
        task_type.on_submit(tx, actor, model)
        raise _Undo


class _Undo(Exception):
    """Ends a transaction whose writes are not wanted."""


def _moment(found: Checked, name: str, text: str | None, zone: str) -> int | None:
    if text is None or "zone" in found.faults:
        return None
    try:
        return clock.to_ms(cron.moment(text, zone))
    except InvalidInput as error:
        found.faults[name] = error.message
        return None
