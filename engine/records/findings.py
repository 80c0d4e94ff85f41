"""Findings: one kind of trouble at one place, with a life: open, acknowledged, muted, fixed, open again."""

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal

from engine.records import db
from engine.records.metrics import OTHER

State = Literal["open", "acknowledged", "muted", "fixed"]
MAX_FINDINGS = 2_000
"""Findings told apart; further ones are counted per type, service and kind under `_OTHER`."""
STATES: tuple[State, ...] = ("open", "acknowledged", "muted", "fixed")


@dataclass(slots=True)
class Sighting:
    """One or several occurrences of a finding, as a recorder saw them."""

    type: str
    service: str
    kind: str
    name: str
    subject: str
    """What within the unit: a statement's id, a called host; empty where the unit itself is meant."""
    at_ms: int
    cost_us: int
    """The time it took, summed over the occurrences."""
    example: str
    correlation_id: str
    n: int = 1

    @property
    def id(self) -> str:
        """Return the fingerprint: the same trouble at the same place has the same."""
        text = "\0".join((self.type, self.service, self.kind, self.name, self.subject))
        return blake2b(text.encode(), digest_size=8).hexdigest()

    def beyond_the_cap(self) -> "Sighting":
        """Return the sighting as one of those that are not told apart."""
        return replace(self, name=OTHER, subject="")


def see(tx: db.Transaction, sighting: Sighting) -> None:
    """Add a sighting; a finding that was fixed before it is open again."""
    known = tx.value("select 1 from findings where id = :id", id=sighting.id)
    if not known and tx.value("select count(*) from findings") >= MAX_FINDINGS:
        sighting = sighting.beyond_the_cap()
    values = {
        "id": sighting.id,
        "at": sighting.at_ms,
        "n": sighting.n,
        "cost": sighting.cost_us,
        "example": sighting.example,
        "correlation": sighting.correlation_id,
    }
    changed = tx.run(
        """update findings set n = n + :n, cost_us = cost_us + :cost, example = :example,
               correlation_id = :correlation,
               first_at_ms = case when first_at_ms > :at then :at else first_at_ms end,
               last_at_ms = case when last_at_ms < :at then :at else last_at_ms end
           where id = :id""",
        **values,
    )
    if not changed:
        tx.run(
            """insert into findings (id, type, service, kind, name, subject, first_at_ms, last_at_ms, n,
                   cost_us, example, correlation_id, state, state_at_ms)
               values (:id, :type, :service, :kind, :name, :subject, :at, :at, :n, :cost, :example,
                   :correlation, 'open', :at)""",
            type=sighting.type,
            service=sighting.service,
            kind=sighting.kind,
            name=sighting.name,
            subject=sighting.subject,
            **values,
        )
        return
    tx.run(
        """update findings set state = 'open', state_at_ms = :at, muted_until_ms = null,
               n_reopened = n_reopened + 1
           where id = :id and ((state = 'fixed' and state_at_ms < :at)
               or (state = 'muted' and muted_until_ms < :at))""",
        id=sighting.id,
        at=sighting.at_ms,
    )


def set_state(
    tx: db.Transaction, finding_id: str, state: State, *, at_ms: int, muted_until_ms: int | None = None
) -> bool:
    """Move a finding to a state; return False when there is no such finding."""
    changed = tx.run(
        "update findings set state = :state, state_at_ms = :at, muted_until_ms = :until where id = :id",
        id=finding_id,
        state=state,
        at=at_ms,
        until=muted_until_ms if state == "muted" else None,
    )
    return changed == 1


def describe(
    tx: db.Transaction, finding_id: str, *, owner: str | None = None, note: str | None = None
) -> bool:
    """Set who looks after a finding and what is known about it; None leaves a value as it is."""
    changed = tx.run(
        "update findings set owner = coalesce(:owner, owner), note = coalesce(:note, note) where id = :id",
        id=finding_id,
        owner=owner,
        note=note,
    )
    return changed == 1


def trim(tx: db.Transaction, before_ms: int, limit: int) -> int:
    """Forget fixed findings not seen since `before_ms`."""
    return tx.run(
        """delete from findings where id in (select id from findings
               where state = 'fixed' and last_at_ms < :before limit :n)""",
        before=before_ms,
        n=limit,
    )
