"""Results too large for a task's row: kept as a file beside it, for as long as rendered files are kept."""

import hashlib
import secrets
from pathlib import Path

from engine import clock, settings
from engine.records import artifacts, db
from engine.records.artifacts import Artifact
from engine.records.tasks import Task

KIND = "json"


def keep(task: Task, text: str) -> dict[str, object]:
    """Store a result as a file and return what stands for it in the task's row."""
    data = text.encode()
    artifact_id, now_ms = secrets.token_hex(16), clock.now_ms()
    path = path_of(artifact_id)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)
    artifact = Artifact(
        id=artifact_id,
        task_id=task.id,
        kind=KIND,
        owner=task.owner,
        filename=f"{task.type}-{task.id[:8]}.json",
        content_type="application/json",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        facts={},
        created_at_ms=now_ms,
        expires_at_ms=now_ms + int(settings.get().artifact_keep_d * 86_400_000),
    )
    with db.main().write() as tx:
        artifacts.put(tx, artifact)
    return {"artifact_id": artifact_id, "bytes": len(data), "sha256": artifact.sha256}


def path_of(artifact_id: str) -> Path:
    """Return where the file of a large result is."""
    return settings.get().data_dir / "artifacts" / f"{artifact_id}.{KIND}"
