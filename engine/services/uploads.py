"""Files that people send: inspected in a child process, stored under names we make, kept for a day."""

import hashlib
import os
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from engine import clock, errors, log, settings
from engine.lib import child
from engine.lib.tables.kinds import kind_of
from engine.lib.tables.shape import Limits, refuse
from engine.queries import files
from engine.records import audit, db, uploads
from engine.records.uploads import Upload
from engine.words import Actor

_CHUNK_BYTES = 1024 * 1024
_NAME_CHARS = 120
_INSPECTION = "engine.lib.tables.reading:inspect"
_TOO_BIG = (child.ChildTimedOut, child.ChildCpuLimit, child.ChildOutOfMemory)

_logger = log.get(__name__)


def store(actor: Actor, filename: str, file: BinaryIO) -> Upload:
    """Take a file for `actor`; return its row, whose facts name its columns and number of rows.

    Raises TooLarge above the setting `upload_bytes`, and InvalidInput with the field `file` for what is not
    the table its name says. Nothing is kept then.
    """
    name = _display_name(filename)
    kind = kind_of(name)
    upload_id = secrets.token_hex(16)
    path = _folder() / f"{upload_id}.{kind}"
    part = path.with_name(path.name + ".part")
    try:
        size, sha256 = _copy(file, part)
        facts = _inspect(part, kind)
        part.replace(path)
        now_ms = clock.now_ms()
        expires_at_ms = now_ms + int(settings.get().upload_keep_h * 3_600_000)
        upload = Upload(upload_id, actor.name, name, kind, size, sha256, facts, now_ms, expires_at_ms)
        with db.main().write() as tx:
            uploads.insert(tx, upload)
            audit.add(tx, actor, "upload.add", upload_id, {"bytes": size})
    except BaseException:
        for left in (part, path):
            left.unlink(missing_ok=True)
        raise
    return upload


def mine(actor: Actor, *, limit: int = 100) -> list[Upload]:
    """Return the uploads of `actor` that can be used now, newest first."""
    return files.uploads_of(actor.name, now_ms=clock.now_ms(), limit=limit)


def path_of(upload: Upload) -> Path:
    """Return where the file of an upload is."""
    return settings.get().data_dir / "uploads" / f"{upload.id}.{upload.kind}"


def _folder() -> Path:
    folder = settings.get().data_dir / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _display_name(filename: str) -> str:
    """Keep the last part of the name, for showing only, without what cannot be shown."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    shown = "".join(c for c in last if c.isprintable()).strip()
    if not shown:
        raise refuse("The file has no name.")
    return shown[-_NAME_CHARS:]


def _copy(file: BinaryIO, part: Path) -> tuple[int, str]:
    """Copy at most as many bytes as allowed; return their number and SHA-256."""
    limit = settings.get().upload_bytes
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        while chunk := file.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > limit:
                message = f"The file is larger than {limit / 1024 / 1024:g} MB."
                raise errors.TooLarge(message, fields={"file": message})
            digest.update(chunk)
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    return size, digest.hexdigest()


def _inspect(part: Path, kind: str) -> dict[str, Any]:
    limits = Limits(inflated_bytes=settings.get().upload_inflated_bytes)
    argument = {"path": str(part), "kind": kind, "limits": asdict(limits)}
    try:
        facts: dict[str, Any] = child.run(_INSPECTION, argument, timeout_s=60, cpu_s=40, memory_mb=768).value
        return facts
    except _TOO_BIG as error:
        raise refuse(f"The file is too large to be read. {error}") from error
    except child.ChildFailed as error:
        _logger.warning("upload not readable", kind=kind, reason=str(error))
        raise refuse("The file is damaged and cannot be read.") from error
    except child.ChildCrashed as error:
        raise errors.Unavailable("The file could not be read just now. Send it again.") from error
