"""The words of the product: states, roles, outcomes. Stored in tables and shown to people; never renamed."""

from dataclasses import dataclass
from enum import StrEnum


class TaskState(StrEnum):
    """Where a task stands. `late` and `stalled` are flags computed by readers, not states."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def waiting(self) -> bool:
        """Not begun, or between two attempts."""
        return self in WAITING

    @property
    def ended(self) -> bool:
        """No further change happens by itself."""
        return self in ENDED


WAITING = frozenset({TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RETRYING})
ENDED = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED})


class Outcome(StrEnum):
    """How one attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """Stopped by an orderly shutdown; not counted against `max_attempts`."""
    DIED = "died"
    """The worker process vanished or lost its lease; counted as a death, not against `max_attempts`."""
    DEFERRED = "deferred"
    """Gave its place back to be run later (for example a long Retry-After); not counted."""


class Role(StrEnum):
    """What a person or token may do; each role includes the ones before it."""

    VIEWER = "viewer"
    STAFF = "staff"
    OPS = "ops"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def includes(self, other: "Role") -> bool:
        return self.rank >= other.rank


@dataclass(frozen=True)
class Actor:
    """Who asks: a person, a token of a person, or the installation itself."""

    name: str
    role: Role
    via: str = "session"
    """`session`, `token`, `cli`, `page` or `system`."""

    def may_see(self, owner: str) -> bool:
        """Whether work of `owner` is visible: own work, or everybody's for ops."""
        return self.name == owner or self.role.includes(Role.OPS)


SYSTEM = Actor("system", Role.ADMIN, "system")
"""The owner of everything the installation and the command line start."""
