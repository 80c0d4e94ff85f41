"""Reads about the databases themselves, for `doctor`."""

from dataclasses import dataclass

from engine.records import db
from engine.records.schema import MigrationSets

_FAULTS_SHOWN = 5


@dataclass(frozen=True)
class DatabaseState:
    """What one database file says about itself."""

    sqlite_version: str
    journal_mode: str
    faults: list[str]
    """What the integrity check found; empty in a sound file."""
    pending: list[str]
    """Migrations of this program that the file lacks."""
    unknown: list[str]
    """Migrations in the file that this program does not know: a newer version made them."""


def database_state(database: db.Database, sets: MigrationSets) -> DatabaseState:
    """Read a database's state; the integrity check takes about 1 s for 1 GB."""
    found = [row[0] for row in database.read(f"pragma quick_check({_FAULTS_SHOWN})")]
    applied = _applied(database)
    known = {f"{migrations.name}.{m.name}" for migrations in sets for m in migrations._migrations}
    return DatabaseState(
        sqlite_version=database.value("select sqlite_version()"),
        journal_mode=database.value("pragma journal_mode"),
        faults=[] if found == ["ok"] else found,
        pending=sorted(known - applied),
        unknown=sorted(applied - known),
    )


def latest_written_ms() -> int:
    """Return when the youngest task was submitted, 0 where there is none."""
    return int(db.main().value("select coalesce(max(created_at_ms), 0) from tasks") or 0)


def oldest_due_ms(now_ms: int) -> int | None:
    """Return since when the oldest task that could run has been waiting."""
    sql = """select min(coalesce(nullif(due_at_ms, 0), queued_at_ms)) from tasks
             where state in ('queued', 'scheduled', 'retrying') and due_at_ms <= :now"""
    value = db.main().value(sql, now=now_ms)
    return None if value is None else int(value)


def _applied(database: db.Database) -> set[str]:
    exists = "select count(*) from sqlite_master where type = 'table' and name = '_sqlite_migrations'"
    if not database.value(exists):
        return set()
    rows = database.read("select migration_set, name from _sqlite_migrations")
    return {f"{row['migration_set']}.{row['name']}" for row in rows}
