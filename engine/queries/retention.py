"""Reads for the clean-up: what it would remove, and which files belong to a row."""

from collections.abc import Sequence

from engine.records import db

_COUNTS = {
    "artifacts": "select count(*) from artifacts where expires_at_ms < :before",
    "uploads": "select count(*) from uploads where expires_at_ms < :before",
    "tasks": """select count(*) from tasks where finished_at_ms < :before
                and state in ('succeeded', 'failed', 'cancelled', 'expired')""",
    "occurrences": "select count(*) from occurrences where due_at_ms < :before and decision <> 'waiting'",
    "webhooks": "select count(*) from webhook_messages where created_at_ms < :before",
    "call_counts": "select count(*) from call_counts where at_ms < :before",
    "workers": "select count(*) from workers where stopped_at_ms < :before",
    "sessions": "select count(*) from sessions where expires_at_ms < :before",
    "signin_links": "select count(*) from signin_links where expires_at_ms < :before",
    "audit": "select count(*) from audit where at_ms < :before",
}


def n_due(kind: str, before_ms: int) -> int:
    """Count the rows of a kind whose keep ended before a time."""
    return int(db.main().value(_COUNTS[kind], before=before_ms))


def known_files(kind: str, ids: Sequence[str]) -> set[str]:
    """Return those of the given ids that have a row; kind is `artifacts` or `uploads`."""
    if kind not in ("artifacts", "uploads"):
        raise ValueError(kind)
    names, params = db.listed("id", ids)
    return {row["id"] for row in db.main().read(f"select id from {kind} where id in ({names})", **params)}


def free_bytes() -> int:
    """Return the bytes inside the database file that hold nothing and are used again before it grows."""
    pages, size = db.main().value("pragma freelist_count"), db.main().value("pragma page_size")
    return int(pages) * int(size)
