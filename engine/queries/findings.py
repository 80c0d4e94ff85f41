"""What the monitor found wrong, and what people made of it."""

from dataclasses import dataclass

from engine import clock
from engine.records import db

TITLES: dict[str, str] = {
    "repeated_query": "The same query again and again",
    "many_queries": "More than 20 queries",
    "database_share": "Most of the time in the database",
    "render_in_request": "A PDF rendered inside the request",
    "call_in_request": "Another server called inside the request",
    "blocking_query": "A query blocks the event loop",
    "large_response": "An answer over 1 MB",
    "cache_stampede": "Several computed the same cache entry at once",
    "regression": "Slower than in the last seven days",
}
ADVICE: dict[str, str] = {
    "repeated_query": "Read all rows with one query (a join, or `in`), or read them once per request.",
    "many_queries": "Join what belongs together; read what does not change once and keep it.",
    "database_share": "Look at the slowest statements below: an index or a smaller result may help.",
    "render_in_request": "Hand the report over: POST /api/reports answers in milliseconds.",
    "call_in_request": "Hand the call over: POST /api/calls answers in milliseconds.",
    "blocking_query": "Make the route a plain `def`, so that it runs in a thread.",
    "large_response": "Page the list, or hand over a file to download.",
    "cache_stampede": "Compute the entry under a lock, or refresh it before it expires.",
    "regression": "Look for a deploy mark, and compare before and after.",
}


@dataclass(frozen=True)
class Finding:
    """One kind of trouble at one place."""

    id: str
    type: str
    service: str
    kind: str
    name: str
    subject: str
    first_at_ms: int
    last_at_ms: int
    n: int
    cost_us: int
    example: str
    correlation_id: str
    state: str
    muted_until_ms: int | None
    n_reopened: int
    owner: str
    note: str

    @property
    def title(self) -> str:
        """Say what it is."""
        return TITLES.get(self.type, self.type.replace("_", " "))

    @property
    def advice(self) -> str:
        """Say what to do about it."""
        return ADVICE.get(self.type, "")

    def document(self) -> dict[str, object]:
        """Return the finding as JSON."""
        return {
            "id": self.id,
            "type": self.type,
            "title": self.title,
            "advice": self.advice,
            "service": self.service,
            "kind": self.kind,
            "name": self.name,
            "subject": self.subject,
            "first_at": clock.iso(self.first_at_ms),
            "last_at": clock.iso(self.last_at_ms),
            "n": self.n,
            "cost_ms": self.cost_us / 1000,
            "example": self.example,
            "correlation_id": self.correlation_id,
            "state": self.state,
            "muted_until": clock.iso(self.muted_until_ms),
            "n_reopened": self.n_reopened,
            "owner": self.owner,
            "note": self.note,
        }


def listed(
    *,
    states: tuple[str, ...] = ("open",),
    service: str | None = None,
    name: str | None = None,
    limit: int = 100,
) -> list[Finding]:
    """Return findings in some states, the costliest first."""
    wanted = ", ".join(f":s{number}" for number in range(len(states)))
    found = db.metrics().read(
        f"""select {_COLUMNS} from findings where state in ({wanted})
            and (:service is null or service = :service) and (:name is null or name = :name)
            order by cost_us desc, n desc, id limit :limit""",
        service=service,
        name=name,
        limit=limit,
        **{f"s{number}": state for number, state in enumerate(states)},
    )
    return [Finding(**dict(row)) for row in found]


def regressions(*, limit: int = 5) -> list[Finding]:
    """Return open findings of routes that became slower, the latest first."""
    found = db.metrics().read(
        f"""select {_COLUMNS} from findings where type = 'regression' and state = 'open'
            order by last_at_ms desc, id limit :limit""",
        limit=limit,
    )
    return [Finding(**dict(row)) for row in found]


def one(finding_id: str) -> Finding | None:
    """Return a finding by its id."""
    row = db.metrics().one(f"select {_COLUMNS} from findings where id = :id", id=finding_id)
    return Finding(**dict(row)) if row else None


def counts() -> dict[str, int]:
    """Return how many findings are in each state."""
    return {
        r["state"]: r["n"]
        for r in db.metrics().read("select state, count(*) as n from findings group by state")
    }


_COLUMNS = """id, type, service, kind, name, subject, first_at_ms, last_at_ms, n, cost_us, example,
    correlation_id, state, muted_until_ms, n_reopened, owner, note"""
