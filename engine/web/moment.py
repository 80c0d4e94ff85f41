"""A point in time as a body carries it."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _is_iso(value: object) -> object:
    """Refuse a number, of which nobody knows whether it counts seconds or milliseconds."""
    if not isinstance(value, datetime) and not (isinstance(value, str) and _DATE.match(value)):
        raise ValueError("must be an ISO 8601 time with its offset, such as 2026-12-01T09:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_is_iso)]
