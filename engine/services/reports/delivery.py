"""From a report's name and values to a stored file."""

import hashlib
import re
import secrets
import unicodedata
from pathlib import Path
from typing import Any

from engine import clock, errors, settings
from engine.lib import child
from engine.queries import files
from engine.records import artifacts, db
from engine.records.artifacts import Artifact
from engine.registry import TaskHandle
from engine.services.reports import catalog
from engine.services.reports.catalog import ReportType
from engine.services.reports.forms import ReportForm

KIND = "pdf"
RENDERING = f"{__package__}.job"
"""The module that renders, for `child.prepare`."""
MAX_PAGES = 200
_CONTENT_TYPE = "application/pdf"
_DAY_MS = 86_400_000
_SLUG_CHARS = 60


def render(name: str, params: dict[str, Any], task: TaskHandle) -> dict[str, Any]:
    """Render a report in a child process and store it; return the task's result.

    If an earlier attempt of this task stored the file and only its end was not recorded, that file is the
    result. Raises PermanentFailure where another try would end the same way.
    """
    if (done := files.artifact_of(task.id, KIND)) and _is_whole(done):
        return _result(done)
    try:
        report = catalog.get(name)
        form = report.parse(params)
        task.progress(1, "gathering the data")
        artifact = _render(report, form, task)
    except errors.InvalidInput as error:
        raise errors.PermanentFailure(error.message, code=error.code) from error
    with db.main().write() as tx:
        artifacts.put(tx, artifact)
    return _result(artifact)


def _render(report: ReportType, form: ReportForm, task: TaskHandle) -> Artifact:
    artifact_id = secrets.token_hex(16)
    path = _path(artifact_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    argument = {
        "report": report.name,
        "data": report.gather(form, task.owner),
        "path": str(path),
        "max_pages": MAX_PAGES,
    }
    try:
        rendered = _in_child(argument, task)
    except BaseException:
        for left in (path, path.with_name(path.name + ".part")):
            left.unlink(missing_ok=True)
        raise
    now_ms = clock.now_ms()
    return Artifact(
        id=artifact_id,
        task_id=task.id,
        kind=KIND,
        owner=task.owner,
        filename=_filename(report, form, now_ms),
        content_type=_CONTENT_TYPE,
        size_bytes=rendered["bytes"],
        sha256=rendered["sha256"],
        facts={"pages": rendered["pages"], "report": report.name},
        created_at_ms=now_ms,
        expires_at_ms=now_ms + int(settings.get().artifact_keep_d * _DAY_MS),
    )


def _in_child(argument: dict[str, Any], task: TaskHandle) -> dict[str, Any]:
    limits = settings.get()
    value: dict[str, Any] = child.run(
        f"{RENDERING}:render",
        argument,
        timeout_s=task.remaining_s,
        cpu_s=limits.render_cpu_s,
        memory_mb=limits.render_memory_mb,
        cancelled=lambda: task.cancelled,
        on_progress=task.progress,
        on_log=task.log,
        on_usage=lambda used: task.used(cpu_ms=used.cpu_ms, peak_memory_bytes=used.peak_bytes),
        correlation_id=task.correlation_id,
    ).value
    return value


def _result(artifact: Artifact) -> dict[str, Any]:
    return {
        "artifact_id": artifact.id,
        "filename": artifact.filename,
        "pages": artifact.facts["pages"],
        "bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "expires_at": clock.iso(artifact.expires_at_ms),
    }


def _is_whole(artifact: Artifact) -> bool:
    try:
        return hashlib.sha256(_path(artifact.id).read_bytes()).hexdigest() == artifact.sha256
    except FileNotFoundError:
        return False


def _path(artifact_id: str) -> Path:
    return settings.get().data_dir / "artifacts" / f"{artifact_id}.{KIND}"


def _filename(report: ReportType, form: ReportForm, now_ms: int) -> str:
    """Name the file for the person who saves it: what it is, in ASCII, and the day."""
    title = report.describe(form.params())
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:_SLUG_CHARS].strip("-") or report.name.replace("_", "-")
    return f"{slug}-{clock.from_ms(now_ms):%Y-%m-%d}.pdf"
