"""Answers shared by everybody who looks: fifty people who refresh the same chart cost one query, not fifty.

For data that do not depend on who asks; what does carries the actor's name in its key. An answer is as old as
`ttl_s` at most. Of those who ask for the same at once, one reads and the others wait for it.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engine import clock

T = TypeVar("T")
MOST = 500
"""Answers kept; the one not asked for longest goes first."""


@dataclass
class _Answer:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None
    until_s: float = float("-inf")


_answers: OrderedDict[Hashable, _Answer] = OrderedDict()
_lock = threading.Lock()


def read(key: Hashable, ttl_s: float, query: Callable[[], T]) -> T:
    """Return the answer to a query, at most `ttl_s` old. An error is raised to all and not kept."""
    with _lock:
        answer = _answers.setdefault(key, _Answer())
        _answers.move_to_end(key)
        while len(_answers) > MOST:
            _answers.popitem(last=False)
    with answer.lock:
        if clock.elapsed() >= answer.until_s:
            answer.value = query()
            answer.until_s = clock.elapsed() + ttl_s
        value: T = answer.value
        return value


def forget() -> None:
    """Forget every answer; for tests and after a change that must be seen at once."""
    with _lock:
        _answers.clear()
