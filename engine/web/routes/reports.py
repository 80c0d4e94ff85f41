"""Order reports and fetch the PDFs."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.responses import FileResponse, JSONResponse

from engine import clock, settings
from engine.errors import Conflict, Gone, NotFound
from engine.queries import files
from engine.queries import tasks as reads
from engine.records.artifacts import Artifact
from engine.web import actors, documents
from engine.web.ranges import RangedFile
from engine.web.submission import Options, Submission, submit
from engine.words import Actor, TaskState

router = APIRouter(prefix="/api/reports", tags=["reports"], route_class=Submission)

TYPE = "report"
_GONE = "The file has been removed, its time is over. Order the report again."

SignedIn = Annotated[Actor, Depends(actors.signed_in)]


class NewReport(Options):
    """A report to be rendered."""

    report: str = Field(max_length=64, description="Which report, for example `performance_summary`.")
    params: dict[str, Any] = Field(default_factory=dict, description="The fields of the report's form.")


@router.post("", status_code=202, summary="Order a report", responses=documents.HANDED_OVER)
async def create(body: NewReport, actor: SignedIn) -> JSONResponse:
    """Answer 202 with the task as soon as it is stored; `links.pdf` is where the file will be."""
    payload = {"report": body.report, "params": body.params}
    return await submit(actor, TYPE, payload, body, type_field="report")


@router.get("/{task_id}/pdf", summary="Download a report", response_class=FileResponse)
def pdf(task_id: str, actor: SignedIn) -> RangedFile:
    """Stream the file, or its `Range`, to its owner or to ops; 409 `not_ready` before success, 410 later."""
    task = reads.required(actor, task_id)
    if task.type != TYPE:
        raise NotFound("This task makes no PDF.")
    if task.state is not TaskState.SUCCEEDED:
        raise Conflict(f"The report is {task.state}; there is no file.", code="not_ready")
    artifact = files.artifact_of(task_id, "pdf")
    if artifact is None or artifact.expires_at_ms <= clock.now_ms():
        raise Gone(_GONE)
    return _file(artifact)


def _file(artifact: Artifact) -> RangedFile:
    path = settings.get().data_dir / "artifacts" / f"{artifact.id}.{artifact.kind}"
    if not path.is_file():
        raise Gone(_GONE)
    return RangedFile(
        path,
        media_type=artifact.content_type,
        filename=artifact.filename,
        headers={"Cache-Control": "private, no-store", "Content-Security-Policy": "default-src 'none'"},
    )
