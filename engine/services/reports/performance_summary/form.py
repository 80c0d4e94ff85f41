"""What is asked for a performance summary."""

from datetime import datetime, timedelta

from pydantic import Field, ValidationInfo, field_validator

from engine import clock
from engine.records.db import Transaction
from engine.services.reports.forms import Moment, ReportForm, Zone
from engine.words import Actor

TITLE = "Performance summary"
DESCRIPTION = "How many requests there were, how fast they were answered, and which routes were slow."
_LONGEST = timedelta(days=400)
_DEFAULT = timedelta(hours=24)


class Form(ReportForm):
    """The period to report on; without one it is the 24 hours before the request."""

    zone: Zone = "UTC"
    start: Moment = Field(
        None,
        title="From",
        description="Begin of the period, ISO 8601; empty: 24 hours before the end",
        examples=["2026-11-23T00:00:00Z"],
    )
    end: Moment = Field(
        None,
        title="Until",
        description="End of the period, ISO 8601; empty: now",
        examples=["2026-11-24T00:00:00Z"],
    )

    service: str = Field(
        "",
        title="Service",
        description="Name of a recorded service; empty: all",
        max_length=64,
        json_schema_extra={"widget": "service"},
    )

    @field_validator("start")
    @classmethod
    def _has_begun(cls, start: datetime | None) -> datetime | None:
        if start and start >= clock.now():
            raise ValueError("must be in the past")
        return start

    @field_validator("end")
    @classmethod
    def _after_the_start(cls, end: datetime | None, info: ValidationInfo) -> datetime | None:
        start = info.data.get("start")
        if end and start and end <= start:
            raise ValueError("must be after the begin of the period")
        if end and start and end - start > _LONGEST:
            raise ValueError(f"must be at most {_LONGEST.days} days after the begin of the period")
        return end


def admit(_tx: Transaction, _actor: Actor, form: Form) -> Form:
    """Fix the period at the time of the request, so that a later attempt reports on the same one."""
    end = form.end or (min(clock.now(), form.start + _LONGEST) if form.start else clock.now())
    return form.model_copy(update={"start": form.start or end - _DEFAULT, "end": end})
