"""Send files that reports are made of."""

from functools import partial
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from engine import clock, settings
from engine.errors import InvalidInput, TooLarge
from engine.records.uploads import Upload
from engine.services import uploads
from engine.web import actors
from engine.words import Actor, Role

router = APIRouter(prefix="/api/uploads", tags=["reports"])

_places = anyio.CapacityLimiter(2)
"""Files inspected at once: each has a child process of its own, and must not take the threads of others."""


@router.post(
    "",
    status_code=201,
    summary="Send a file",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {"file": {"type": "string", "format": "binary"}},
                    }
                }
            },
        }
    },
)
async def create(
    request: Request, actor: Annotated[Actor, Depends(actors.at_least(Role.STAFF))]
) -> JSONResponse:
    """Take one CSV or XLSX file of at most 20 MB in the field `file`; kept for 24 h, for the sender only."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InvalidInput("Send multipart/form-data with the file in the field `file`.", fields=_NO_FILE)
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            upload = await _store(actor, form.get("file"))
    except HTTPException as error:
        if error.status_code == 413:
            raise
        raise InvalidInput(f"The form is not valid: {error.detail}", fields=_NO_FILE) from None
    return JSONResponse(
        {
            "upload_id": upload.id,
            "filename": upload.filename,
            "kind": upload.kind,
            "size_bytes": upload.size_bytes,
            "facts": dict(upload.facts),
            "expires_at": clock.iso(upload.expires_at_ms),
        },
        201,
    )


async def _store(actor: Actor, file: UploadFile | str | None) -> Upload:
    if not isinstance(file, UploadFile):
        raise InvalidInput("There is no file in the field `file`.", fields=_NO_FILE)
    if (file.size or 0) > settings.get().upload_bytes:
        message = f"A file may have at most {settings.get().upload_bytes} bytes."
        raise TooLarge(message, fields={"file": message})
    store = partial(uploads.store, actor, file.filename or "", file.file)
    return await anyio.to_thread.run_sync(store, limiter=_places)


_NO_FILE = {"file": "required: one CSV or XLSX file"}
