"""The shop's own task type: asks the supplier, with everything an API call has.

It is a type of its own so that only the demo's worker takes it, which names this module in
OFFLOAD_TASK_MODULES and may reach the supplier; other workers on the data folder do not have its code.
"""

from typing import Any

from engine.registry import TaskHandle, task_type
from engine.services.calls import model, single
from engine.services.calls.model import ApiCall


@task_type(
    "shop_supplier",
    ApiCall,
    title="Supplier's stock",
    max_attempts=1,
    timeout_s=60,
    on_submit=single.admit,
    on_stored=single.store,
    on_again=single.again,
    on_rescue=single.after_death,
    protect=model.protect,
    describe=model.describe,
)
def shop_supplier(payload: ApiCall, task: TaskHandle) -> dict[str, Any]:
    """Ask the supplier for one article."""
    return single.perform(payload, task)
