"""What people do about alerts and rules; each act leaves an audit row."""

import re
from dataclasses import asdict

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from engine import clock, registry
from engine.errors import Conflict, Forbidden, InvalidInput, NotFound
from engine.lib.moment import check_mute
from engine.queries import alerts as reads
from engine.records import alerts, audit, db
from engine.records.alerts import Reason, Rule
from engine.services.alerts import events
from engine.services.alerts.measures import MEASURES
from engine.words import Actor, Role

MAX_RULES = 200
MAX_NOTE_CHARS = 2_000

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LOOKS_AT = ("measure", "service", "name")
_JUDGES_BY = ("threshold", "window_s", "least_n", "enabled")


class RuleFields(BaseModel):
    """The fields of a rule that people choose."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: str = Field(min_length=1, max_length=100, description="For people")
    measure: str = Field(description="What to look at", json_schema_extra={"enum": list(MEASURES)})
    threshold: float = Field(allow_inf_nan=False, description="Bad is above; below for `apdex`")
    service: str | None = Field(None, min_length=1, max_length=64, description="Only this service")
    name: str | None = Field(None, min_length=1, max_length=400, description="Only this route or task type")
    window_s: int = Field(300, ge=60, le=86_400, description="Over how long")
    to_open: int = Field(3, ge=1, le=100, description="Bad results in a row that open an alert")
    to_clear: int = Field(3, ge=1, le=100, description="Good results in a row that clear it")
    least_n: int = Field(20, ge=0, le=1_000_000, description="With fewer units the window widens")
    enabled: bool = Field(True, description="Whether it is evaluated")

    @field_validator("measure")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in MEASURES:
            raise ValueError(f"one of {', '.join(MEASURES)}")
        return value


def save(actor: Actor, rule: Rule) -> bool:
    """Make or change a rule; return whether it is new.

    One that looks at something else or is switched off closes its alert; one that judges otherwise
    counts anew.
    """
    _operator(actor)
    rule, now_ms = _checked(rule), clock.now_ms()
    wanted = asdict(rule)
    with audit.around(actor, "alert.rule", wanted.pop("id"), wanted), db.metrics().write() as tx:
        before = alerts.rule(tx, rule.id)
        if before is None and alerts.n_rules(tx) >= MAX_RULES:
            raise Conflict(f"There are {MAX_RULES} rules already.", code="too_many")
        if before is not None and _differ(before, rule, (*_LOOKS_AT, *_JUDGES_BY)):
            alerts.begin_anew(tx, rule.id)
        if before is not None and _differ(before, rule, _LOOKS_AT):
            _close(tx, before, "rule_changed", "its rule looks at something else now", now_ms)
        elif not rule.enabled:
            _close(tx, rule, "rule_off", f"its rule was switched off by {actor.name}", now_ms)
        alerts.save(tx, rule, at_ms=now_ms, by=actor.name)
    return before is None


def remove(actor: Actor, rule_id: str) -> None:
    """Remove a rule and close its alert."""
    _operator(actor)
    with audit.around(actor, "alert.remove", rule_id), db.metrics().write() as tx:
        rule = alerts.rule(tx, rule_id)
        if rule is None:
            raise NotFound("There is no such rule.")
        _close(tx, rule, "rule_removed", f"its rule was removed by {actor.name}", clock.now_ms())
        alerts.remove(tx, rule_id)


def mute(actor: Actor, rule_id: str, until_ms: int | None) -> None:
    """Tell nobody of a rule's alerts until a moment in the future; None ends that."""
    _operator(actor)
    now_ms = clock.now_ms()
    if until_ms is not None:
        check_mute(until_ms, now_ms, field="until")
    action, wanted = ("alert.mute", {"until": clock.iso(until_ms)}) if until_ms else ("alert.unmute", {})
    with audit.around(actor, action, rule_id, wanted), db.metrics().write() as tx:
        if not alerts.mute(tx, rule_id, until_ms):
            raise NotFound("There is no such rule.")


def acknowledge(actor: Actor, alert_id: int, note: str = "") -> None:
    """Say that somebody looks after an alert."""
    if not actor.role.includes(Role.STAFF):
        raise Forbidden("This needs the role staff.")
    if len(note) > MAX_NOTE_CHARS:
        raise InvalidInput("The note is too long.", fields={"note": f"at most {MAX_NOTE_CHARS} characters"})
    wanted = {"note": note} if note else {}
    with audit.around(actor, "alert.acknowledge", str(alert_id), wanted), db.metrics().write() as tx:
        if not alerts.acknowledge(tx, alert_id, by=actor.name, at_ms=clock.now_ms(), note=note):
            _refuse(alert_id)


def _checked(rule: Rule) -> Rule:
    fields = {} if _ID.fullmatch(rule.id) else {"rule_id": "small letters, digits, - and _; at most 64"}
    values = asdict(rule)
    del values["id"]
    try:
        checked = RuleFields.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(
            "The rule is not valid.", fields=fields | registry.field_messages(error)
        ) from error
    if fields:
        raise InvalidInput("The rule is not valid.", fields=fields)
    return Rule(rule.id, **checked.model_dump())


def _differ(before: Rule, after: Rule, names: tuple[str, ...]) -> bool:
    return any(getattr(before, name) != getattr(after, name) for name in names)


def _close(tx: db.Transaction, rule: Rule, reason: Reason, why: str, now_ms: int) -> None:
    events.cleared(tx, rule, reason, f"{rule.title}: closed, {why}", now_ms)


def _refuse(alert_id: int) -> None:
    found = reads.one(alert_id)
    if found is None:
        raise NotFound("There is no such alert.")
    raise Conflict(f"{found.acknowledged_by} looks after it already.", code="already_acknowledged")


def _operator(actor: Actor) -> None:
    if not actor.role.includes(Role.OPS):
        raise Forbidden("This needs the role ops.")
