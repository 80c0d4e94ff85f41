"""The clean-up: remove what is past its keep, in small batches, and say what was freed."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine import clock, lifecycle, log, settings
from engine.errors import Forbidden
from engine.queries import retention as reads
from engine.records import (
    artifacts,
    audit,
    calls,
    db,
    retention,
    schedules,
    sessions,
    uploads,
    users,
    webhooks,
)
from engine.records.db import Transaction
from engine.records.tasks import Task
from engine.words import SYSTEM, Actor, Role

_DAY_MS = 86_400_000
_WORKER_KEEP_MS = 7 * _DAY_MS
_ORPHAN_AGE_MS = 3_600_000
"""A file without a row may be one whose row is about to be written."""

logger = log.get(__name__)


@dataclass
class Report:
    """What was removed, or would be: rows and files by kind, bytes of files, bytes inside the database."""

    dry_run: bool
    rows: dict[str, int] = field(default_factory=dict)
    n_files: int = 0
    file_bytes: int = 0
    database_bytes: int = 0

    @property
    def n_rows(self) -> int:
        return sum(self.rows.values())

    def document(self) -> dict[str, object]:
        """Return the JSON shape of the report."""
        return {
            "dry_run": self.dry_run,
            "rows": self.rows,
            "n_rows": self.n_rows,
            "n_files": self.n_files,
            "file_bytes": self.file_bytes,
            "database_bytes": self.database_bytes,
            "bytes_freed": self.file_bytes + self.database_bytes,
        }


def request(actor: Actor, *, dry_run: bool = False) -> Task:
    """Have a worker clean up, on the word of a person; raise Forbidden below the role ops."""
    if not actor.role.includes(Role.OPS):
        raise Forbidden("Cleaning up needs the role ops.")
    submitted = lifecycle.submit(SYSTEM, "cleanup", {"dry_run": dry_run})
    with db.main().write() as tx:
        audit.add(tx, actor, "cleanup.request", submitted.task.id, {"dry_run": dry_run})
    return submitted.task


def clean_up(*, dry_run: bool = False, check: Callable[[], None] = lambda: None) -> Report:
    """Remove what is past its keep; `check` is called between batches and may raise to stop."""
    report = Report(dry_run)
    free_before = reads.free_bytes()
    for kind in ("artifacts", "uploads"):
        report.rows[kind] = _expired_files(kind, report, check)
    for kind, (before_ms, remove) in _row_kinds().items():
        report.rows[kind] = reads.n_due(kind, before_ms) if dry_run else _in_batches(remove, check)
    for kind in ("artifacts", "uploads"):
        _orphans(kind, report, check)
    report.database_bytes = max(0, reads.free_bytes() - free_before)
    logger.info("clean-up done", **report.document())
    return report


def _row_kinds() -> dict[str, tuple[int, Callable[[Transaction], int]]]:
    now_ms, s = clock.now_ms(), settings.get()
    tasks_ms = now_ms - int(s.task_keep_d * _DAY_MS)
    hour_ms = now_ms - calls.HOUR_MS
    workers_ms = now_ms - _WORKER_KEEP_MS
    audit_ms = now_ms - int(s.audit_keep_d * _DAY_MS)
    return {
        "tasks": (tasks_ms, lambda tx: len(retention.remove_tasks(tx, tasks_ms))),
        "occurrences": (
            tasks_ms,
            lambda tx: schedules.remove_occurrences_before(tx, tasks_ms, limit=retention.BATCH),
        ),
        "webhooks": (tasks_ms, lambda tx: webhooks.remove_messages(tx, tasks_ms, limit=retention.BATCH)),
        "call_counts": (hour_ms, lambda tx: calls.remove_counts(tx, hour_ms, limit=retention.BATCH)),
        "workers": (workers_ms, lambda tx: retention.remove_workers(tx, workers_ms)),
        "sessions": (now_ms, lambda tx: sessions.remove_expired(tx, limit=retention.BATCH)),
        "signin_links": (now_ms, lambda tx: users.remove_expired_links(tx, limit=retention.BATCH)),
        "audit": (audit_ms, lambda tx: audit.remove_before(tx, audit_ms, limit=retention.BATCH)),
    }


def _in_batches(remove: Callable[[Transaction], int], check: Callable[[], None]) -> int:
    removed = 0
    while True:
        check()
        with db.main().write() as tx:
            n = remove(tx)
        removed += n
        if n < retention.BATCH:
            return removed


def _expired_files(kind: str, report: Report, check: Callable[[], None]) -> int:
    """Remove files, then rows: a crash between leaves a row without a file, which goes next time."""
    now_ms = clock.now_ms()
    if report.dry_run:
        return reads.n_due(kind, now_ms)
    remove_row = artifacts.remove if kind == "artifacts" else uploads.remove

    def remove(tx: Transaction) -> int:
        rows = retention.expired_files(tx, kind, now_ms)
        for row in rows:
            _delete(_path(kind, f"{row['id']}.{row['kind']}"), report)
            remove_row(tx, row["id"])
        return len(rows)

    return _in_batches(remove, check)


def _orphans(kind: str, report: Report, check: Callable[[], None]) -> None:
    """Remove files that no row names, left by a crash between the file and its row."""
    for paths in _batched(_path(kind, "").iterdir(), retention.BATCH):
        check()
        known = reads.known_files(kind, [path.name.split(".")[0] for path in paths])
        for path in paths:
            if path.name.split(".")[0] not in known and _is_old(path):
                _delete(path, report)


def _delete(path: Path, report: Report) -> None:
    try:
        size = path.stat().st_size
        if not report.dry_run:
            path.unlink()
    except FileNotFoundError:
        return
    report.n_files += 1
    report.file_bytes += size


def _is_old(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_mtime * 1000 < clock.now_ms() - _ORPHAN_AGE_MS
    except FileNotFoundError:
        return False


def _path(kind: str, name: str) -> Path:
    return settings.get().data_dir / kind / name


def _batched(paths: Iterator[Path], size: int) -> Iterator[list[Path]]:
    while batch := list(itertools.islice(paths, size)):
        yield batch
