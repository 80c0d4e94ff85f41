"""Write verbs for artifacts: the files that tasks produce."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.records.db import Row, Transaction


@dataclass(frozen=True)
class Artifact:
    """A stored output file."""

    id: str
    task_id: str
    kind: str
    """What it is to its task, for example `pdf`: also the ending of the stored file's name."""
    owner: str
    filename: str
    """The name under which people save it."""
    content_type: str
    size_bytes: int
    sha256: str
    facts: Mapping[str, Any]
    created_at_ms: int
    expires_at_ms: int


def put(tx: Transaction, artifact: Artifact) -> None:
    """Store the row of a file that is in its place; that of an earlier attempt of the task is replaced."""
    tx.run(
        "delete from artifacts where task_id = :task_id and kind = :kind",
        task_id=artifact.task_id,
        kind=artifact.kind,
    )
    tx.run(
        """insert into artifacts
           (id, task_id, kind, owner, filename, content_type, size_bytes, sha256, facts, created_at_ms,
            expires_at_ms) values
           (:id, :task_id, :kind, :owner, :filename, :content_type, :size_bytes, :sha256, :facts,
            :created_at_ms, :expires_at_ms)""",
        **{**artifact.__dict__, "facts": json.dumps(artifact.facts)},
    )


def remove(tx: Transaction, artifact_id: str) -> bool:
    """Remove the row of a file that is gone; return False if there is none such."""
    return tx.run("delete from artifacts where id = :id", id=artifact_id) == 1


def from_row(row: Row) -> Artifact:
    """Make an artifact of its row."""
    return Artifact(**{**dict(row), "facts": json.loads(row["facts"])})
