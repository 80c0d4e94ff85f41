"""When a call is tried again, and after how long."""

import random
from collections.abc import Callable

from engine.lib.http import Answer, CallFailed
from engine.lib.retry_after import retry_after_s
from engine.services.calls.model import ApiCall

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_NOT_TAKEN = frozenset({429, 503})
"""Answers after which a request that must not be sent twice was not taken up, so it may be sent again."""
_BASE_S = 1.0
_CAP_S = 60.0
LONGEST_WAIT_S = 3_600.0
"""A server that asks for a longer wait is not called again by itself."""


def again_after(call: ApiCall, outcome: Answer | CallFailed, n_failures: int, now_s: float) -> float | None:
    """Return the seconds to wait before the next try, or None when there must be none.

    `n_failures` counts from 1. A method that must not be repeated is, only if nothing was sent, if the server
    said it did not take it (429, 503), or under an Idempotency-Key (RFC 9110, section 9.2.2).
    """
    if isinstance(outcome, CallFailed):
        if not outcome.transient or not (call.may_be_repeated or not outcome.sent):
            return None
        return backoff_s(n_failures)
    if outcome.status not in (AGAIN if call.may_be_repeated else _NOT_TAKEN):
        return None
    asked = retry_after_s(outcome.header("retry-after"), now_s)
    if asked is not None and asked > LONGEST_WAIT_S:
        return None
    return max(asked or 0.0, backoff_s(n_failures))


def backoff_s(n_failures: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Return a wait with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015)."""
    return uniform(0, min(_CAP_S, _BASE_S * 2.0 ** (n_failures - 1)))
