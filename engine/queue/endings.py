"""From what a task's function returned or raised to what is recorded of the attempt."""

import json
import traceback
from collections.abc import Mapping
from typing import Any

from engine import settings
from engine.errors import (
    Deferred,
    InvalidInput,
    OffloadError,
    PermanentFailure,
    TaskCancelled,
    TaskError,
    TransientFailure,
)
from engine.lib.storable import storable
from engine.lifecycle import Ending
from engine.queue.running import Running
from engine.services import results
from engine.words import Outcome

_TRACEBACK_CHARS = 16_000
UNEXPECTED = "unexpected_error"
"""Code of what a task raised that is none of our errors; its traceback goes to the log."""


def succeeded(running: Running, value: Mapping[str, Any] | None) -> Ending:
    """Describe a normal return; a large result is stored as a file and named in the row."""
    return _ending(running, Outcome.SUCCEEDED, result=_result(running, value))


def failed(running: Running, error: BaseException) -> Ending:
    """Describe a raised error. Whatever a stopped attempt raises, it ended because it was stopped."""
    if running.cancelled or isinstance(error, TaskCancelled):
        return _ending(running, running.stop_reason or Outcome.CANCELLED)
    if isinstance(error, Deferred):
        return _ending(
            running, Outcome.DEFERRED, error=(error.code, error.message), delay_s=max(0.0, error.delay_s)
        )
    outcome = Outcome.TIMED_OUT if _code(error) == "timed_out" else Outcome.FAILED
    return _ending(
        running,
        outcome,
        error=(_code(error), _message(error)),
        result=_result(running, error.result) if isinstance(error, TaskError) else None,
        permanent=isinstance(error, PermanentFailure | InvalidInput),
        delay_s=(error.retry_after_s or 0.0) if isinstance(error, TransientFailure) else 0.0,
        traceback="".join(traceback.format_exception(error))[-_TRACEBACK_CHARS:],
    )


def _result(running: Running, value: Mapping[str, Any] | None) -> str | None:
    result = None if value is None else _as_json(value)
    if result and len(result.encode()) > settings.get().result_bytes:
        result = json.dumps(results.keep(running.task, result))
    return result


def _as_json(value: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    except (TypeError, ValueError) as error:
        message = f"The result cannot be written as JSON: {error}"
        raise PermanentFailure(message, code="result_not_json") from error
    return storable(text)


def _ending(running: Running, outcome: Outcome, **details: Any) -> Ending:
    return Ending(
        outcome,
        duration_ms=running.duration_ms,
        log=running.log_text,
        cpu_ms=running.cpu_ms,
        peak_memory_bytes=running.peak_memory_bytes,
        **details,
    )


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, OffloadError) else UNEXPECTED


def _message(error: BaseException) -> str:
    if isinstance(error, InvalidInput) and error.fields:
        return f"{error.message} " + "; ".join(f"{path}: {text}" for path, text in error.fields.items())
    if isinstance(error, OffloadError):
        return error.message
    return f"{type(error).__name__}: {error}"
