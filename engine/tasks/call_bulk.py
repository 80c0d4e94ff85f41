"""The bulk task: up to fifty API calls in parallel."""

from typing import Any

from engine.registry import TaskHandle, task_type
from engine.services.calls import bulk
from engine.services.calls.bulk import CallBulk


@task_type(
    "call_bulk",
    CallBulk,
    title="API calls in bulk",
    max_attempts=1,
    timeout_s=180,
    on_submit=bulk.admit,
    on_stored=bulk.store,
    on_again=bulk.again,
    protect=bulk.protect_all,
    describe=bulk.describe,
)
def call_bulk(payload: CallBulk, task: TaskHandle) -> dict[str, Any]:
    """Make the calls and return their results in order."""
    return bulk.perform(payload, task)
