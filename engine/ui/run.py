"""Run a page or a fragment and record that run: no middleware ever sees one.

In `pages/__main__.py`, round the one call that runs the chosen page:

    chosen = st.navigation(menu)
    with ui.page(chosen.url_path or "overview", actor):
        chosen.run()

On a page, for a part that refreshes by itself (`every_s=None`: only when its own widgets change):

    @ui.live(every_s=5)
    def tiles() -> None: ...

    tiles()

Each run has a correlation id of its own, so that tasks it hands over are found with it. What fails is
recorded as failed and becomes a sentence on the page. A rerun or stop asked for by Streamlit is no failure.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import streamlit as st

from engine import log
from engine.services import monitor
from engine.services.monitor import FRAGMENT, RUN
from engine.ui import edge, toasts
from engine.words import Actor

P = ParamSpec("P")

_PAGE = "_page"
_ACTOR = "_page_actor"
_RUN = "_page_run"


@contextmanager
def page(name: str, actor: Actor | None = None) -> Iterator[None]:
    """Record the block as one script run of a page; `name` is the page's path without the slash."""
    run_id = log.new_correlation_id()
    st.session_state[_PAGE] = name
    st.session_state[_ACTOR] = actor
    st.session_state[_RUN] = run_id
    with (
        log.correlated(run_id),
        edge.caught(name),
        monitor.measure(RUN, f"/{name}", correlation_id=run_id, actor=actor),
    ):
        yield


def live(every_s: float | None = None) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a function a fragment that is run again every so many seconds, each run recorded."""

    def decorate(draw: Callable[P, None]) -> Callable[P, None]:
        @wraps(draw)
        def recorded(*args: P.args, **kwargs: P.kwargs) -> None:
            run_id = log.new_correlation_id()
            state = st.session_state
            with (
                log.correlated(run_id),
                edge.caught(draw.__name__),
                monitor.measure(
                    FRAGMENT,
                    f"/{state.get(_PAGE, '')} {draw.__name__}",
                    correlation_id=run_id,
                    parent_id=state.get(_RUN),
                    actor=state.get(_ACTOR),
                ),
            ):
                toasts.show()  # a button in here runs this part only, not the head of the page
                draw(*args, **kwargs)

        fragment: Callable[P, None] = st.fragment(recorded, run_every=every_s)
        return fragment

    return decorate
