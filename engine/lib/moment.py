"""A point in time as it comes from outside: in a body, an address or the form of a report."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

from engine.errors import InvalidInput

LONGEST_MUTE_MS = 366 * 86_400_000
"""What nobody hears of for a year is looked at once more."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _is_iso(value: object) -> object:
    if isinstance(value, datetime | None) or (isinstance(value, str) and _DATE.match(value)):
        return value
    raise ValueError("must be an ISO 8601 time with its offset, such as 2026-12-01T09:00:00Z")


IsoOnly = BeforeValidator(_is_iso)
"""Refuses a number, of which nobody knows whether it counts seconds or milliseconds; pydantic takes both."""
Moment = Annotated[AwareDatetime, IsoOnly]


def check_mute(until_ms: int | None, now_ms: int, *, field: str) -> None:
    """Raise InvalidInput for the end of a mute that is missing, past, or more than a year ahead."""
    if not now_ms < (until_ms or 0) <= now_ms + LONGEST_MUTE_MS:
        raise InvalidInput(
            "Muting needs an end in the future.", fields={field: "must be within a year from now"}
        )
