"""A point in time as it comes from outside: in a body, an address or the form of a report."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _is_iso(value: object) -> object:
    if value is not None and not isinstance(value, datetime) and not _begins_with_a_date(value):
        raise ValueError("must be an ISO 8601 time with its offset, such as 2026-12-01T09:00:00Z")
    return value


def _begins_with_a_date(value: object) -> bool:
    return isinstance(value, str) and _DATE.match(value) is not None


IsoOnly = BeforeValidator(_is_iso)
"""Refuses a number, of which nobody knows whether it counts seconds or milliseconds; pydantic takes both."""
Moment = Annotated[AwareDatetime, IsoOnly]
