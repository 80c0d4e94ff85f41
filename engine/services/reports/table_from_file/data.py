"""What the child process needs to read an upload and show it."""

from typing import Any

from engine import clock, settings
from engine.errors import PermanentFailure
from engine.queries import files
from engine.services.reports.table_from_file.form import Form


def gather(form: Form, owner: str) -> dict[str, Any]:
    """Return path, kind and form; raise PermanentFailure if the file is gone."""
    upload = files.upload(form.upload_id)
    if upload is None or upload.owner != owner:
        raise PermanentFailure("The uploaded file is not kept any more.", code="upload_gone")
    path = settings.get().data_dir / "uploads" / f"{upload.id}.{upload.kind}"
    if not path.exists():
        raise PermanentFailure("The uploaded file is not kept any more.", code="upload_gone")
    return {
        "path": str(path),
        "kind": upload.kind,
        "filename": upload.filename,
        "inflated_bytes": settings.get().upload_inflated_bytes,
        "made_at_ms": clock.now_ms(),
        "form": form.params(),
    }
