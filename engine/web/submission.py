"""What every way to submit a task by HTTP has in common: the options beside the payload, and the answer."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, get_type_hints

from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from engine import clock
from engine.errors import InvalidInput, NotFound
from engine.lib.moment import Moment
from engine.web import actors, handover
from engine.words import Actor

OPTIONS = frozenset({"idempotency_key", "run_at", "priority", "webhooks"})


class Webhook(BaseModel):
    """Whom to tell when the task has ended."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=2_000, description="Where the event is sent, by POST")
    secret: str | None = Field(
        None, max_length=200, description="`whsec_...`; if left out, one is made and shown in the answer"
    )


class Options(BaseModel):
    """The common fields of a submit; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    idempotency_key: str | None = Field(
        None, min_length=1, max_length=200, description="The same key gives the same task, once per type."
    )
    run_at: Moment | None = Field(None, description="Not before this time, with its offset.")
    priority: int | None = Field(None, ge=-100, le=100, description="Higher runs first.")
    webhooks: list[Webhook] = Field(default_factory=list, max_length=10, description="Told at the end.")

    def given(self) -> dict[str, Any]:
        """Return the options as `lifecycle.submit` takes them."""
        return {
            "idempotency_key": self.idempotency_key,
            "run_at_ms": clock.to_ms(self.run_at) if self.run_at else None,
            "priority": self.priority,
            "webhooks": [hook.model_dump(exclude_none=True) for hook in self.webhooks],
        }


class Submission(APIRoute):
    """A route that hands over without FastAPI's solving of dependencies, which costs 0.1 ms.

    Meant for endpoints that take `Options` as `body` and who asks as `actor`. Others, and bodies that are not
    in order, go FastAPI's way from the start, so that errors are told in one place.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        carefully = super().get_route_handler()
        taken = get_type_hints(self.endpoint)
        model = taken.get("body")
        asked = [each.call for each in self.dependant.dependencies]
        if asked != [actors.signed_in] or taken.keys() != {"body", "actor", "return"}:
            return carefully
        if not (isinstance(model, type) and issubclass(model, Options)):
            return carefully

        async def handle(request: Request) -> Response:
            body = await _read(request, model)
            if body is None:
                return await carefully(request)
            answer: Response = await self.endpoint(body, await actors.signed_in(request))
            return answer

        return handle


async def _read(request: Request, model: type[Options]) -> Options | None:
    """Return the body, or None for one that is not in order."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return None
    try:
        return model.model_validate(await request.json())
    except (ValueError, RecursionError, ClientDisconnect):
        return None


async def submit(
    actor: Actor,
    type_name: str,
    payload: Mapping[str, Any],
    options: Options,
    *,
    prefix: str = "",
    type_field: str = "type",
    extend: Callable[[str], Mapping[str, Any]] | None = None,
) -> JSONResponse:
    """Hand a task over: 202 with its document, or 200 with the first one for a repeated idempotency key.

    `prefix` is where the body holds the payload (`payload.`), so that messages stand at the sender's fields.
    `extend` returns what the task's type adds to the document, given its id.
    """
    try:
        submitted = await handover.submit(actor, type_name, payload, options.given())
    except NotFound as error:
        raise InvalidInput(error.message, fields={type_field: error.message}, code=error.code) from None
    except InvalidInput as error:
        error.fields = {sent_as(path, prefix): message for path, message in error.fields.items()}
        raise
    more = await run_in_threadpool(extend, submitted.task.id) if extend else {}
    return JSONResponse({**submitted.document(), **more}, 202 if submitted.created else 200)


def sent_as(path: str, prefix: str) -> str:
    """Return where the sender wrote what the gate calls `path`; `payload` is the payload as a whole."""
    if path.partition(".")[0] in OPTIONS:
        return path
    return prefix.rstrip(".") or "body" if path == "payload" else prefix + path
