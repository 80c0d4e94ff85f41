"""The API call task: fetch from another server."""

from typing import Any

from engine.registry import TaskHandle, task_type
from engine.services.calls import model, single
from engine.services.calls.model import ApiCall


@task_type(
    "api_call",
    ApiCall,
    title="API call",
    max_attempts=1,
    timeout_s=180,
    on_submit=single.admit,
    on_stored=single.store,
    on_again=single.again,
    on_rescue=single.after_death,
    protect=model.protect,
    describe=model.describe,
)
def api_call(payload: ApiCall, task: TaskHandle) -> dict[str, Any]:
    """Make the call, with its retries; long waits give the worker back."""
    return single.perform(payload, task)
