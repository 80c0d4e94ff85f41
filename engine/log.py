"""One structured log: a line of JSON per event on standard error, each with the correlation id."""

import logging
import secrets
import sys

import structlog
from structlog.contextvars import bind_contextvars, get_contextvars, merge_contextvars

CORRELATION = "correlation_id"


def configure(service: str, *, level: int = logging.INFO) -> None:
    """Send structlog and the standard library's loggers to standard error as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        merge_contextvars,
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
    root.setLevel(level)


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
    """Make an id that ties a request, its tasks and their child processes together."""
    return secrets.token_hex(8)


def bind(**values: str) -> None:
    """Attach values (for example the correlation id) to all later lines of this context."""
    bind_contextvars(**values)


def correlation_id() -> str | None:
    """Return the id bound in this context, if any."""
    value = get_contextvars().get(CORRELATION)
    return str(value) if value else None


def _name_service(service: str) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("service", service)
        return event

    return add
