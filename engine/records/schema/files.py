"""Files under names we make: what people upload, and what tasks produce."""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("files")


@migrations()
def create_files(db: Database) -> None:
    """The row of a file is written after the file is whole, and removed after the file is gone.

    A task that is run again replaces its artifact: one row per task and kind.
    """
    for sql in (
        """
        create table uploads (
            id text primary key,
            owner text not null,
            filename text not null,
            kind text not null,
            size_bytes integer not null,
            sha256 text not null,
            facts text not null,
            created_at_ms integer not null,
            expires_at_ms integer not null
        )
        """,
        "create index uploads_owner on uploads (owner, created_at_ms)",
        "create index uploads_expiry on uploads (expires_at_ms)",
        """
        create table artifacts (
            id text primary key,
            task_id text not null,
            kind text not null,
            owner text not null,
            filename text not null,
            content_type text not null,
            size_bytes integer not null,
            sha256 text not null,
            facts text not null,
            created_at_ms integer not null,
            expires_at_ms integer not null,
            unique (task_id, kind)
        )
        """,
        "create index artifacts_expiry on artifacts (expires_at_ms)",
    ):
        db.execute(sql)
