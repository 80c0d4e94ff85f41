"""The edge of a page: what goes wrong behind it becomes a sentence here, never a traceback."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import streamlit as st

from engine import clock, log
from engine.errors import OffloadError
from engine.records.db import LockedOrFull
from engine.ui import format, viewer

T = TypeVar("T")


@contextmanager
def caught(where: str) -> Iterator[None]:
    """Draw the error state if the block fails; what Streamlit raises to stop or rerun passes through."""
    correlation_id = log.correlation_id() or log.new_correlation_id()
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the edge: people get a sentence, the log the rest
        failure(error, where, correlation_id)


def failure(error: Exception, where: str, correlation_id: str) -> None:
    """Say what happened and what to do; for the unforeseen, the id under which the log knows more."""
    if isinstance(error, OffloadError):
        st.error(format.plain(error.message), icon=":material/error:")
    elif isinstance(error, LockedOrFull):
        message = "The database is busy or the disk is full. Nothing was changed. Try again in a moment."
        st.error(message, icon=":material/database_off:")
    else:
        log.get(__name__).error("page failed", page=where, correlation_id=correlation_id, exc_info=error)
        updated = (
            "Offload was updated while it ran: start it again. " if isinstance(error, ImportError) else ""
        )
        st.error(
            f"{updated}This part of the page could not be shown. If it stays so, give an administrator "
            f"the id `{correlation_id}`: the log says more under it.",
            icon=":material/error:",
        )


def load(name: str, read: Callable[[], T], *, quiet: bool = False) -> T:
    """Read fresh data for a live part and say when; if that fails, keep the last data and say so.

    `name` is unique in the session. `quiet` leaves out the time, where another part of the page says it.
    Raises what `read` raised when there are no earlier data.
    """
    key = f"loaded:{name}"
    try:
        data, at_ms = read(), clock.now_ms()
    except (OffloadError, LockedOrFull):
        kept: dict[str, Any] | None = st.session_state.get(key)
        if kept is None:
            raise
        viewer.updated(kept["at_ms"], stale=True)
        return kept["data"]  # type: ignore[no-any-return]
    st.session_state[key] = {"data": data, "at_ms": at_ms}
    if not quiet:
        viewer.updated(at_ms)
    return data
