"""Write verbs for uploads, and the one read that a submit makes inside its transaction."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.records.db import Reader, Row, Transaction


@dataclass(frozen=True)
class Upload:
    """A file somebody sent. `facts` is what its inspection found, for example columns and number of rows."""

    id: str
    owner: str
    filename: str
    kind: str
    """`csv` or `xlsx`: also the ending of the stored file's name."""
    size_bytes: int
    sha256: str
    facts: Mapping[str, Any]
    created_at_ms: int
    expires_at_ms: int


def insert(tx: Transaction, upload: Upload) -> None:
    """Store the row of a file that is in its place."""
    tx.run(
        """insert into uploads
           (id, owner, filename, kind, size_bytes, sha256, facts, created_at_ms, expires_at_ms) values
           (:id, :owner, :filename, :kind, :size_bytes, :sha256, :facts, :created_at_ms, :expires_at_ms)""",
        **{**upload.__dict__, "facts": json.dumps(upload.facts)},
    )


def get(reader: Reader, upload_id: str) -> Upload | None:
    """Return an upload, or None."""
    row = reader.one("select * from uploads where id = :id", id=upload_id)
    return from_row(row) if row else None


def remove(tx: Transaction, upload_id: str) -> bool:
    """Remove the row of a file that is gone; return False if there is none such."""
    return tx.run("delete from uploads where id = :id", id=upload_id) == 1


def from_row(row: Row) -> Upload:
    """Make an upload of its row."""
    return Upload(**{**dict(row), "facts": json.loads(row["facts"])})
