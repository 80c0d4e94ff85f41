"""What has changed among watched tasks, for the event streams."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from engine.records import db
from engine.records.tasks import Task

Stamp = tuple[object, ...]
"""Equal as long as nothing that people see of a task has changed."""

_AT_ONCE = 500
_SEEN = ("state", "progress", "progress_note", "attempt", "cancel_requested_at_ms", "finished_at_ms")

stamp = attrgetter(*_SEEN)
"""Return the stamp of a `Task`."""


def version() -> int:
    """Return a number that changes when something was committed; compare it within one thread only."""
    return db.main().version()


def changed(task_ids: Sequence[str], known: Mapping[str, Stamp]) -> list[Task]:
    """Return those of the given tasks whose stamp is not the known one; two queries for 500 tasks."""
    rows = _rows(f"id, {', '.join(_SEEN)}", task_ids)
    moved = [row["id"] for row in rows if known.get(row["id"]) != tuple(row)[1:]]
    return [Task.from_row(row) for row in _rows("*", moved)]


def _rows(columns: str, task_ids: Sequence[str]) -> Iterable[db.Row]:
    for start in range(0, len(task_ids), _AT_ONCE):
        names, params = db.listed("id", task_ids[start : start + _AT_ONCE])
        yield from db.main().read(f"select {columns} from tasks where id in ({names})", **params)
