"""What report forms share. A form is the one model behind the page's form, the HTTP checks and the schema."""

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from engine.lib.moment import IsoOnly

_FIRST = datetime(1970, 1, 2, tzinfo=UTC)
"""A day after the first that can be stored, so that a day before it can be named."""


class ReportForm(BaseModel):
    """The base of all forms. `json_schema_extra={"widget": ...}` tells a page how to ask for a field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def params(self) -> dict[str, Any]:
        """Return the values as JSON."""
        return self.model_dump(mode="json")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError("is not a time zone; an example is Europe/Berlin") from None
    except KeyError:
        raise ValueError("is not a time zone; an example is Europe/Berlin") from None
    return name


def _one_line(text: str) -> str:
    return " ".join(text.split())


Zone = Annotated[
    str,
    Field(
        title="Time zone",
        description="Name from the IANA list, such as Europe/Berlin: for the times in the report",
        max_length=64,
        json_schema_extra={"widget": "zone"},
    ),
    AfterValidator(_zone),
]
Line = Annotated[str, AfterValidator(_one_line)]
"""Text on one line."""


def _in_utc(at: datetime | None, info: ValidationInfo) -> datetime | None:
    if at is None:
        return None
    try:
        zone = ZoneInfo(info.data.get("zone", "UTC"))
        found = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise ValueError("is not a time in our calendar") from None
    if found < _FIRST:
        raise ValueError("must be in 1970 or later")
    return found


Moment = Annotated[datetime | None, AfterValidator(_in_utc), IsoOnly]
"""A point in time in UTC; one without an offset is meant in the field `zone`, which stands before it."""
