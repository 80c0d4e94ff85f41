"""The clean-up task: removes what is past its keep."""

from pydantic import Field

from engine.registry import Body, TaskHandle, task_type
from engine.services import retention
from engine.words import Role


class CleanUp(Body):
    """How to clean up."""

    dry_run: bool = Field(False, description="Only count what would be removed")


@task_type(
    "cleanup",
    CleanUp,
    title="Clean-up",
    min_role=Role.OPS,
    system=True,
    max_running=1,
    timeout_s=3_600,
    priority=-10,
)
def cleanup(payload: CleanUp, task: TaskHandle) -> dict[str, object]:
    """Remove expired files, ended tasks and old rows; report rows and bytes freed."""
    report = retention.clean_up(dry_run=payload.dry_run, check=task.check)
    task.log(f"{report.n_rows} rows and {report.n_files} files")
    return report.document()
