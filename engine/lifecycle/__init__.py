"""The one owner of every state change of a task.

Submit, claim, progress, settle, cancel, retry, purge, pause and rescue: each is one transaction that writes
the task's row together with its attempt or event row. Every way in (pages, HTTP, command line, schedules)
passes through here, so here the limits and roles are applied.
"""

from engine.lifecycle.announce import DELIVERY_TYPE, EVENTS, deliver, emit, emit_test
from engine.lifecycle.control import (
    Cancelled,
    cancel,
    may_cancel,
    may_retry,
    pause,
    purge,
    resume,
    retry,
)
from engine.lifecycle.rescue import expire_waiting, rescue
from engine.lifecycle.run import (
    Ending,
    any_due,
    claim,
    keep_log,
    mark_sent,
    progress,
    settle,
    settle_and_claim,
    wait_is_over,
)
from engine.lifecycle.submit import Order, Submitted, submit, submit_each, submit_in, submit_many

__all__ = [
    "DELIVERY_TYPE",
    "EVENTS",
    "Cancelled",
    "Ending",
    "Order",
    "Submitted",
    "any_due",
    "cancel",
    "claim",
    "deliver",
    "emit",
    "emit_test",
    "expire_waiting",
    "keep_log",
    "mark_sent",
    "may_cancel",
    "may_retry",
    "pause",
    "progress",
    "purge",
    "rescue",
    "resume",
    "retry",
    "settle",
    "settle_and_claim",
    "submit",
    "submit_each",
    "submit_in",
    "submit_many",
    "wait_is_over",
]
