"""The report task: renders one PDF."""

from typing import Any

from pydantic import Field

from engine.records.db import Transaction
from engine.registry import Body, TaskHandle, task_type
from engine.services.reports import catalog, delivery
from engine.words import Actor, Role


class Report(Body):
    """Which report, and the values of its form."""

    report: str = Field(
        max_length=64, description="Name of the report type", examples=["performance_summary"]
    )
    params: dict[str, Any] = Field(default_factory=dict, description="Values of the report's form")


def _admit(tx: Transaction, actor: Actor, payload: Report) -> Report:
    params = catalog.admit(tx, actor, payload.report, payload.params)
    return payload.model_copy(update={"params": params})


def _describe(payload: Report) -> str:
    return catalog.get(payload.report).describe(payload.params)


@task_type(
    "report",
    Report,
    title="Report",
    min_role=Role.STAFF,
    max_attempts=3,
    delays_s=(10, 60),
    timeout_s=180,
    max_running=2,
    on_submit=_admit,
    describe=_describe,
)
def report(payload: Report, task: TaskHandle) -> dict[str, Any]:
    """Render the report and store it."""
    return delivery.render(payload.report, payload.params, task)
