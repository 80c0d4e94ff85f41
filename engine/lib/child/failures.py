"""How a job in a child can end badly, and how an exception crosses the process border as JSON."""

import traceback
from dataclasses import dataclass
from typing import Any

from engine import errors

TAIL_CHARS = 2_000


@dataclass(frozen=True)
class Usage:
    """What a child used: CPU of user and system together, and its largest resident size.

    The resident size includes the modules it shares with the fork server.
    """

    cpu_ms: int = 0
    peak_bytes: int = 0


class ChildCrashed(errors.TransientFailure):
    """The child process ended without a result."""

    code = "child_crashed"


class ChildTimedOut(errors.PermanentFailure):
    """The child process took too long and was stopped."""

    code = "timed_out"


class ChildOutOfMemory(errors.PermanentFailure):
    """The child process needed more memory than it may use."""

    code = "out_of_memory"


class ChildCpuLimit(errors.PermanentFailure):
    """The child process used all the CPU time it may use."""

    code = "cpu_limit"


class ChildFailed(errors.TransientFailure):
    """The function in the child raised an exception that is not one of ours."""

    code = "child_failed"

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(f"{type_name}: {text}" if text else type_name)
        self.type_name = type_name
        """Name of the exception's class in the child."""


def encode(error: BaseException) -> dict[str, Any]:
    """Describe an exception as JSON: class name, message and what a caller acts on."""
    return {
        "type": type(error).__name__,
        "ours": isinstance(error, errors.OffloadError),
        "message": str(error)[:TAIL_CHARS],
        "code": getattr(error, "code", None) if isinstance(error, errors.OffloadError) else None,
        "fields": getattr(error, "fields", None),
        "retry_after_s": getattr(error, "retry_after_s", None),
        "traceback": "".join(traceback.format_exception(error))[-TAIL_CHARS:],
    }


def decode(found: dict[str, Any]) -> errors.OffloadError:
    """Make the exception again: a class of `engine.errors` as itself, anything else as ChildFailed.

    The child may be under somebody's control, so its words choose among our classes and nothing more.
    """
    kind = getattr(errors, str(found.get("type")), None) if found.get("ours") else None
    message = str(found.get("message", ""))
    code = str(found["code"]) if found.get("code") else None
    if kind is errors.InvalidInput or kind is errors.PermanentFailure or kind is errors.TooLarge:
        return _with_fields(kind(message, code=code), found)
    if kind is errors.TransientFailure:
        return errors.TransientFailure(message, code=code, retry_after_s=found.get("retry_after_s"))
    if isinstance(kind, type) and issubclass(kind, errors.OffloadError) and kind is not errors.Deferred:
        return kind(message)
    return ChildFailed(str(found.get("type", "Exception")), message)


def _with_fields(error: errors.OffloadError, found: dict[str, Any]) -> errors.OffloadError:
    fields = found.get("fields")
    if isinstance(error, errors.InvalidInput) and isinstance(fields, dict):
        error.fields = {str(name): str(text) for name, text in fields.items()}
    return error
