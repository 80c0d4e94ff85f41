"""Read uploads and artifacts."""

from engine.records import artifacts, uploads
from engine.records.artifacts import Artifact
from engine.records.db import main
from engine.records.uploads import Upload


def upload(upload_id: str) -> Upload | None:
    """Return an upload, or None."""
    return uploads.get(main(), upload_id)


def uploads_of(owner: str, *, now_ms: int, limit: int = 100) -> list[Upload]:
    """Return a person's uploads that still exist, newest first."""
    rows = main().read(
        """select * from uploads where owner = :owner and expires_at_ms > :now
           order by created_at_ms desc, id limit :limit""",
        owner=owner,
        now=now_ms,
        limit=limit,
    )
    return [uploads.from_row(row) for row in rows]


def artifact(artifact_id: str) -> Artifact | None:
    """Return an artifact, or None."""
    row = main().one("select * from artifacts where id = :id", id=artifact_id)
    return artifacts.from_row(row) if row else None


def artifact_of(task_id: str, kind: str) -> Artifact | None:
    """Return what a task produced, or None."""
    row = main().one(
        "select * from artifacts where task_id = :task_id and kind = :kind", task_id=task_id, kind=kind
    )
    return artifacts.from_row(row) if row else None
