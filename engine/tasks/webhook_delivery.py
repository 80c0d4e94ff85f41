"""The delivery of one event to one endpoint: a task of its own, so that a slow one holds up no other."""

from pydantic import Field

from engine.errors import TaskError, TransientFailure
from engine.registry import Body, TaskHandle, task_type
from engine.services.webhooks import delivery

_AGAIN_S = 60.0


class Delivery(Body):
    """Which delivery to make."""

    delivery_id: str = Field(max_length=40, description="Its id")


@task_type(
    "webhook_delivery",
    Delivery,
    title="Webhook delivery",
    system=True,
    max_attempts=20,
    delays_s=(),
    timeout_s=60,
    max_running=3,
)
def webhook_delivery(payload: Delivery, task: TaskHandle) -> dict[str, object]:
    """Make the next attempt; the waits between attempts are those of the delivery."""
    try:
        return delivery.deliver(payload.delivery_id, task)
    except TaskError:
        raise
    except Exception as error:  # the delivery itself says when it is tried again; this was something else
        raise TransientFailure(f"{type(error).__name__}: {error}", retry_after_s=_AGAIN_S) from error
