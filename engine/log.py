"""One structured log: a line of JSON per event on standard error, each with the correlation id."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from random import Random

import structlog
from structlog.contextvars import bind_contextvars, merge_contextvars

CORRELATION = "correlation_id"

_correlation: ContextVar[str | None] = ContextVar("offload_correlation_id", default=None)
"""Apart from structlog's values: those cost every request 1 us more to bind and to take back."""
_ids = Random()  # noqa: S311 - an id, no secret; of our own, because applications seed the shared generator
os.register_at_fork(after_in_child=_ids.seed)


def configure(service: str, *, level: str = "info") -> None:
    """Send structlog and the standard library's loggers to standard error as JSON lines, from a level on."""
    shared: list[structlog.typing.Processor] = [
        merge_contextvars,
        _add_correlation_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_service(service),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def level() -> str:
    """Return the least level that is logged, for another process that is to log as loud."""
    return logging.getLevelName(logging.getLogger().level)


def take_over(name: str, *, level: int = logging.WARNING, but: str = "") -> None:
    """Route a library's logger through ours: drop its own handlers, keep its lines from this level on.

    Lines of exactly this logger that begin with `but` are left out: they are said better elsewhere.
    """
    logger = logging.getLogger(name)
    logger.handlers.clear()
    logger.setLevel(level)
    if but:
        logger.addFilter(lambda record: not str(record.msg).startswith(but))


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def new_correlation_id() -> str:
    """Make an id that ties a request, its tasks and their child processes together: 16 hexadecimal digits."""
    return hex(1 << 64 | _ids.getrandbits(64))[3:]  # cold, a format string costs a request 7 us more


def bind(**values: str) -> None:
    """Attach values (for example a task's id) to all later lines of this context."""
    bind_contextvars(**values)


def correlate(correlation_id: str) -> Token[str | None]:
    """Attach the correlation id to all later lines of this context; `part` with the token takes it back."""
    return _correlation.set(correlation_id)


def part(token: Token[str | None]) -> None:
    """Take back what `correlate` attached."""
    _correlation.reset(token)


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Attach the correlation id to the lines of a block."""
    token = correlate(correlation_id)
    try:
        yield
    finally:
        part(token)


def correlation_id() -> str | None:
    """Return the id of this context, if any."""
    return _correlation.get() or None


def _add_correlation_id(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if current := _correlation.get():
        event.setdefault(CORRELATION, current)
    return event


def _name_service(service: str) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("service", service)
        return event

    return add
