"""The shapes of answers, for the OpenAPI document; the routes answer with dicts of these shapes."""

from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import AwareDatetime, BaseModel, Field

from engine.records.alerts import Reason
from engine.words import TaskState


class Cause(BaseModel):
    """Why a task failed."""

    code: str
    message: str


class Links(BaseModel):
    """Where to go on; paths."""

    status: str
    stream: str
    cancel: str
    pdf: str | None = None


class Task(BaseModel):
    """A task, wherever it is shown. A due `scheduled` or `retrying` task is shown as `queued`."""

    task_id: str
    type: str
    state: TaskState
    late: bool = Field(description="It is due, and has not begun for more than `OFFLOAD_SCHEDULE_LATE_S`.")
    stalled: bool = Field(description="It runs, and its worker missed three heartbeats: possibly aborted.")
    progress: int = Field(ge=0, le=100)
    progress_note: str
    attempt: int
    max_attempts: int
    owner: str
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    error: Cause | None
    result: dict[str, Any] | None
    correlation_id: str
    cancel_requested: bool
    priority: int
    run_at: AwareDatetime | None
    parent_id: str | None
    links: Links


class TaskList(BaseModel):
    """Tasks, and the cursor of the next page, null at the end."""

    items: list[Task]
    next: str | None


class Several(TaskList):
    """Tasks in the order asked for, and the ids of those that do not exist or are not yours."""

    missing: list[str]


class Alert(BaseModel):
    """An alert, open or in the history."""

    alert_id: int
    rule_id: str
    title: str
    state: Literal["open", "cleared"]
    opened_at: AwareDatetime
    cleared_at: AwareDatetime | None
    cleared_reason: Reason | None
    first_value: float
    worst_value: float
    message: str
    acknowledged_at: AwareDatetime | None
    acknowledged_by: str | None
    note: str


class AlertList(BaseModel):
    """Alerts, and the cursor of the next page, null at the end."""

    items: list[Alert]
    next: str | None


class AlertRule(BaseModel):
    """A rule and where it stands; `value` is null where there was too little to measure."""

    rule_id: str
    title: str
    measure: str
    threshold: float
    service: str | None
    name: str | None
    window_s: int
    to_open: int
    to_clear: int
    least_n: int
    enabled: bool
    open: bool
    value: float | None
    n: int
    n_bad: int
    n_good: int
    evaluated_at: AwareDatetime | None
    late_s: int
    muted_until: AwareDatetime | None


class AlertRuleList(BaseModel):
    """All rules."""

    items: list[AlertRule]
    next: None


class Measure(BaseModel):
    """What a rule can look at."""

    measure: str
    title: str
    unit: str
    bad: Literal["above", "below"]


class MeasureList(BaseModel):
    """All measures."""

    items: list[Measure]
    next: None


HANDED_OVER: dict[int | str, dict[str, Any]] = {
    202: {"model": Task, "description": "Stored; the work happens later"},
    200: {"model": Task, "description": "The first task under this idempotency key"},
}
STOPPED: dict[int | str, dict[str, Any]] = {
    200: {"model": Task, "description": "It was waiting and is cancelled"},
    202: {"model": Task, "description": "It runs and was asked to stop"},
}


class Problem(BaseModel):
    """What went wrong."""

    code: str = Field(description="Stable; see docs/http.md.")
    message: str
    fields: dict[str, str] | None = Field(None, description="A message for each dotted path that is wrong.")
    retry_at: AwareDatetime | None = None


class Failure(BaseModel):
    """Every failure, whatever its status."""

    error: Problem
    correlation_id: str | None


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application, with its authentication and its one error shape."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        reference = "#/components/schemas/{model}"
        failure = Failure.model_json_schema(ref_template=reference)
        schemas |= {**failure.pop("$defs"), "Failure": failure}
        for methods in document["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = {
                    "description": "Any failure",
                    "content": {"application/json": {"schema": {"$ref": reference.format(model="Failure")}}},
                }
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        app.openapi_schema = document
    return app.openapi_schema
