"""What can go wrong, as far as a caller acts differently.

OffloadError
├── InvalidInput        400/422, exit 2: the caller must change what was sent; `fields` says where
├── TooLarge            413: the same, for size
├── Unauthorized        401: sign in first
├── Forbidden           403: signed in, not allowed
├── NotFound            404: no such thing, or not yours
├── Conflict            409: not possible in the present state
├── Gone                410: it existed and its time is over
├── RateLimited         429: later; `retry_at_ms` says when
├── Unavailable         503: the installation cannot do it now; the message says what to do
├── LeaseLost           another worker owns the task now; write nothing
└── TaskError           an attempt failed
    ├── PermanentFailure    trying again cannot help
    ├── TransientFailure    trying again may help
    ├── Deferred            give the place back, run again after `delay_s`; not counted as a failure
    └── TaskCancelled       somebody asked the attempt to stop
"""

from collections.abc import Mapping
from typing import Any


class OffloadError(Exception):
    """Something went wrong."""

    code = "error"

    def __init__(self, message: str | None = None, *, code: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").split("\n")[0].strip()
        self.code = code or type(self).code
        super().__init__(self.message)


class InvalidInput(OffloadError):
    """The input is not valid."""

    code = "invalid_input"

    def __init__(
        self,
        message: str | None = None,
        *,
        fields: Mapping[str, str] | None = None,
        code: str | None = None,
        position: int | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.fields = dict(fields or {})
        self.position = position
        """0-based character in the text that is wrong, where there is one."""


class TooLarge(OffloadError):
    """The input is too large."""

    code = "too_large"

    def __init__(
        self, message: str | None = None, *, fields: Mapping[str, str] | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.fields = dict(fields or {})


class Unauthorized(OffloadError):
    """Sign in first."""

    code = "unauthorized"


class Forbidden(OffloadError):
    """You are not allowed to do this."""

    code = "forbidden"


class NotFound(OffloadError):
    """There is no such thing, or it is not yours."""

    code = "not_found"


class Conflict(OffloadError):
    """This is not possible in the present state."""

    code = "conflict"


class Gone(OffloadError):
    """Its time is over; it has been removed."""

    code = "expired"


class RateLimited(OffloadError):
    """Too many requests; try again later."""

    code = "rate_limited"

    def __init__(self, message: str | None = None, *, retry_at_ms: int | None = None) -> None:
        super().__init__(message)
        self.retry_at_ms = retry_at_ms


class Unavailable(OffloadError):
    """This installation cannot do that now."""

    code = "unavailable"


class LeaseLost(OffloadError):
    """Another worker owns this task now."""

    code = "lease_lost"


class TaskError(OffloadError):
    """The attempt failed."""

    code = "task_failed"
    result: Mapping[str, Any] | None = None
    """What is worth keeping beside the error, where there is something."""


class PermanentFailure(TaskError):
    """The attempt failed, and trying again cannot help."""

    code = "permanent_failure"


class TransientFailure(TaskError):
    """The attempt failed; trying again may help."""

    code = "transient_failure"

    def __init__(
        self, message: str | None = None, *, code: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s
        """Wait at least this long before the next attempt, where the other side said so."""


class Deferred(TaskError):
    """The attempt gives its place back and runs again later."""

    code = "deferred"

    def __init__(self, message: str | None = None, *, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class TaskCancelled(TaskError):
    """Somebody asked the attempt to stop."""

    code = "cancelled"
