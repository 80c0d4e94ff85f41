"""Make a call, with its tries, within one total time."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine import clock, settings
from engine.lib import http
from engine.lib.http import Answer, CallFailed, Limits
from engine.services.calls import policy
from engine.services.calls.model import ApiCall

IN_PLACE_S = 5.0
"""A longer wait than this gives the worker back."""
_LOOK_S = 0.05


@dataclass
class Course:
    """How far a call has come. `spent_s` counts the tries and the short waits between them."""

    n_tries: int = 0
    spent_s: float = 0.0


class Later(Exception):
    """The next try comes after a wait too long to hold a worker for."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"next try in {wait_s:.0f} s")
        self.wait_s = wait_s


def make(
    call: ApiCall,
    course: Course,
    *,
    limits: Limits,
    cancelled: Callable[[], bool],
    on_send: Callable[[], None] | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> Answer:
    """Try until there is an answer to keep; raise CallFailed when there is none, Later when it is to go on.

    `course` is brought forward in place.
    """
    request = call.request()
    while True:
        began = clock.elapsed()
        outcome = _try(request, course, limits, cancelled, on_send)
        course.n_tries += 1
        course.spent_s += clock.elapsed() - began
        log(f"try {course.n_tries} of {call.n_tries}: {_shown(outcome)}")
        wait_s = policy.again_after(call, outcome, course.n_tries, clock.now_ms() / 1000)
        if wait_s is None or course.n_tries >= call.n_tries or _is_cancelled(outcome):
            return _kept(outcome)
        if course.spent_s + min(wait_s, IN_PLACE_S) >= settings.get().call_total_s:
            return _kept(outcome)
        if wait_s > IN_PLACE_S:
            raise Later(wait_s)
        _wait(wait_s, cancelled)
        course.spent_s += wait_s


def _try(
    request: http.Request,
    course: Course,
    limits: Limits,
    cancelled: Callable[[], bool],
    on_send: Callable[[], None] | None,
) -> Answer | CallFailed:
    left_s = settings.get().call_total_s - course.spent_s
    bounded = replace(limits, timeout_s=min(limits.timeout_s, left_s))
    try:
        return http.send(request, bounded, cancelled=cancelled, on_send=on_send)
    except CallFailed as error:
        return error


def _wait(seconds: float, cancelled: Callable[[], bool]) -> None:
    pause, until = threading.Event(), clock.elapsed() + seconds
    while (left_s := until - clock.elapsed()) > 0 and not cancelled():
        pause.wait(min(_LOOK_S, left_s))


def _kept(outcome: Answer | CallFailed) -> Answer:
    if isinstance(outcome, CallFailed):
        raise outcome
    return outcome


def _is_cancelled(outcome: Answer | CallFailed) -> bool:
    return isinstance(outcome, CallFailed) and outcome.code == "cancelled"


def _shown(outcome: Answer | CallFailed) -> str:
    return outcome.message if isinstance(outcome, CallFailed) else f"status {outcome.status}"
