"""What every way to submit a task by HTTP has in common: the options beside the payload, and the answer."""

from collections.abc import Mapping
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from engine import clock
from engine.errors import InvalidInput, NotFound
from engine.web import handover
from engine.words import Actor

OPTIONS = frozenset({"idempotency_key", "run_at", "priority"})


class Options(BaseModel):
    """The common fields of a submit; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    idempotency_key: str | None = Field(
        None, min_length=1, max_length=200, description="The same key gives the same task, once per type."
    )
    run_at: AwareDatetime | None = Field(None, description="Not before this time, with its offset.")
    priority: int | None = Field(None, ge=-100, le=100, description="Higher runs first.")

    def given(self) -> dict[str, Any]:
        """Return the options as `lifecycle.submit` takes them."""
        return {
            "idempotency_key": self.idempotency_key,
            "run_at_ms": clock.to_ms(self.run_at) if self.run_at else None,
            "priority": self.priority,
        }


async def submit(
    actor: Actor,
    type_name: str,
    payload: Mapping[str, Any],
    options: Options,
    *,
    prefix: str = "",
    type_field: str = "type",
) -> JSONResponse:
    """Hand a task over: 202 with its document, or 200 with the first one for a repeated idempotency key.

    `prefix` is where the body holds the payload (`payload.`), so that messages stand at the sender's fields.
    """
    try:
        submitted = await handover.submit(actor, type_name, payload, options.given())
    except NotFound as error:
        raise InvalidInput(error.message, fields={type_field: error.message}, code=error.code) from None
    except InvalidInput as error:
        error.fields = {
            path if path in OPTIONS else prefix + path: message for path, message in error.fields.items()
        }
        raise
    return JSONResponse(submitted.task.document(), 202 if submitted.created else 200)
