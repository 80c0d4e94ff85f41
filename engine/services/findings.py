"""What people do about findings, targets and deploys; each act leaves an audit row."""

from engine import clock
from engine.errors import Forbidden, InvalidInput, NotFound
from engine.lib.moment import check_mute
from engine.queries import findings as reads
from engine.records import audit, db, findings, recorders
from engine.records.findings import STATES, State
from engine.words import Actor, Role

MAX_TARGET_MS = 600_000
MAX_CHARS = 2_000
MARK_AHEAD_MS = 86_400_000
"""How far ahead a deploy may be marked: clocks differ, and some deploys are announced."""


def set_state(
    actor: Actor, finding_id: str, state: str, *, muted_until_ms: int | None = None
) -> reads.Finding:
    """Acknowledge, mute (with an end) or call a finding fixed, or open it again."""
    _at_least(actor, Role.STAFF)
    now_ms = clock.now_ms()
    if state not in STATES:
        raise InvalidInput(f"{state!r} is not a state", fields={"state": f"one of {', '.join(STATES)}"})
    if state == "muted":
        check_mute(muted_until_ms, now_ms, field="muted_until")
    chosen: State = next(known for known in STATES if known == state)
    wanted = {"until": clock.iso(muted_until_ms)} if state == "muted" else {}
    with audit.around(actor, f"finding.{state}", finding_id, wanted), db.metrics().write() as tx:
        if not findings.set_state(tx, finding_id, chosen, at_ms=now_ms, muted_until_ms=muted_until_ms):
            raise NotFound("There is no such finding.")
    return _required(finding_id)


def describe(
    actor: Actor, finding_id: str, *, owner: str | None = None, note: str | None = None
) -> reads.Finding:
    """Set who looks after a finding and what is known about it."""
    _at_least(actor, Role.STAFF)
    if max(len(owner or ""), len(note or "")) > MAX_CHARS:
        raise InvalidInput(f"At most {MAX_CHARS} characters.", fields={"note": "too long"})
    wanted = {key: text for key, text in (("owner", owner), ("note", note)) if text is not None}
    with audit.around(actor, "finding.describe", finding_id, wanted), db.metrics().write() as tx:
        if not findings.describe(tx, finding_id, owner=owner, note=note):
            raise NotFound("There is no such finding.")
    return _required(finding_id)


def set_target(actor: Actor, pattern: str, target_ms: int | None) -> None:
    """Set the Apdex target T of the routes matching a pattern; None returns them to the default."""
    _at_least(actor, Role.OPS)
    if not pattern or len(pattern) > 200:
        raise InvalidInput("A pattern has 1 to 200 characters.", fields={"pattern": "1 to 200 characters"})
    if target_ms is not None and not 1 <= target_ms <= MAX_TARGET_MS:
        raise InvalidInput("T is out of range.", fields={"target_ms": f"1 to {MAX_TARGET_MS}"})
    wanted = {"target_ms": target_ms}
    with audit.around(actor, "target.set", pattern, wanted), db.metrics().write() as tx:
        if target_ms is None:
            if not recorders.remove_target(tx, pattern):
                raise NotFound("There is no such target.")
        else:
            recorders.set_target(tx, pattern, target_ms, at_ms=clock.now_ms(), by=actor.name)


def targets() -> list[tuple[str, int]]:
    """Return the patterns that have a target of their own, most specific first."""
    return recorders.targets(db.metrics())


def mark_deploy(
    actor: Actor, service: str, version: str, note: str = "", *, at_ms: int | None = None
) -> None:
    """Mark on the charts that a service changed."""
    _at_least(actor, Role.STAFF)
    if not service or not version or max(len(service), len(version)) > 64 or len(note) > MAX_CHARS:
        raise InvalidInput(
            "Service and version have 1 to 64 characters.", fields={"version": "1 to 64 characters"}
        )
    now_ms = clock.now_ms()
    at_ms = now_ms if at_ms is None else at_ms
    if not 0 <= at_ms <= now_ms + MARK_AHEAD_MS:
        raise InvalidInput("The moment is out of range.", fields={"at": "from 1970 to tomorrow"})
    wanted = {"at": clock.iso(at_ms)}
    with audit.around(actor, "deploy.mark", f"{service} {version}", wanted), db.metrics().write() as tx:
        recorders.mark_deploy(tx, at_ms=at_ms, service=service, version=version, note=note)


def _required(finding_id: str) -> reads.Finding:
    found = reads.one(finding_id)
    if found is None:
        raise NotFound("There is no such finding.")
    return found


def _at_least(actor: Actor, role: Role) -> None:
    if not actor.role.includes(role):
        raise Forbidden(f"This needs the role {role}.")
