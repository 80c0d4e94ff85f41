"""Webhook rows: endpoints, a task's own webhooks, messages, deliveries, attempts. Each verb is short."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from engine.records.db import Reader, Row, Transaction, listed


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of `webhook_endpoints`."""

    id: str
    owner: str
    url: str
    description: str
    events: str
    secret: str
    previous_secret: str | None
    previous_until_ms: int | None
    active: int
    disabled_at_ms: int | None
    disabled_reason: str
    exhausted_in_a_row: int
    created_at_ms: int
    changed_at_ms: int
    removed_at_ms: int | None

    @classmethod
    def from_row(cls, row: Row) -> "Endpoint":
        """Make an endpoint of a row that has all columns of the table."""
        return cls(**{name: row[name] for name in _ENDPOINT})

    @property
    def patterns(self) -> list[str]:
        found: list[str] = json.loads(self.events)
        return found

    def hears(self, event: str) -> bool:
        """Whether one of the patterns names an event: itself, `task.*`, or `*`."""
        return any(
            pattern in ("*", event) or (pattern.endswith(".*") and event.startswith(pattern[:-1]))
            for pattern in self.patterns
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where a delivery goes: an endpoint, or a task's own webhook (`endpoint_id` is None)."""

    id: str
    endpoint_id: str | None
    owner: str
    url: str
    host: str


_ENDPOINT = tuple(f.name for f in fields(Endpoint))
_LATELY = 1_000
"""Tried deliveries of a host looked through for how fast one of its URLs answers."""
_CHANGEABLE = frozenset(_ENDPOINT) - {"id", "owner", "created_at_ms"}


def endpoint(reader: Reader, endpoint_id: str) -> Endpoint | None:
    """Return an endpoint that was not removed."""
    row = reader.one(
        "select * from webhook_endpoints where id = :id and removed_at_ms is null", id=endpoint_id
    )
    return Endpoint.from_row(row) if row else None


def add_endpoint(tx: Transaction, values: Mapping[str, Any]) -> None:
    """Add an endpoint; columns that are not given have their default."""
    names = ", ".join(values)
    tx.run(f"insert into webhook_endpoints ({names}) values ({', '.join(':' + n for n in values)})", **values)


def change_endpoint(tx: Transaction, endpoint_id: str, values: Mapping[str, Any]) -> bool:
    """Change columns of an endpoint; return False when it was removed meanwhile."""
    if unknown := set(values) - _CHANGEABLE:
        raise ValueError(f"not to be changed: {unknown}")
    sets = ", ".join(f"{name} = :{name}" for name in values)
    sql = f"update webhook_endpoints set {sets} where id = :id and removed_at_ms is null"
    return tx.run(sql, id=endpoint_id, **values) == 1


def n_endpoints(reader: Reader, owner: str) -> int:
    """Count the endpoints of an owner."""
    sql = "select count(*) from webhook_endpoints where owner = :owner and removed_at_ms is null"
    return int(reader.value(sql, owner=owner))


def subscribers(reader: Reader, owner: str | None) -> list[Endpoint]:
    """Return the active endpoints of an owner; of all who operate the installation, without one."""
    sql = "select * from webhook_endpoints where active = 1 and removed_at_ms is null and "
    if owner is not None:
        rows = reader.read(sql + "owner = :owner", owner=owner)
    else:
        rows = reader.read(
            sql + "(owner = 'system' or owner in (select name from users where role in ('ops', 'admin')))"
        )
    return [Endpoint.from_row(row) for row in rows]


def attach(tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add a task's own webhooks."""
    tx.run_many(
        """insert into task_webhooks (id, task_id, owner, url, secret, created_at_ms)
           values (:id, :task_id, :owner, :url, :secret, :created_at_ms)""",
        rows,
    )


def of_task(reader: Reader, task_id: str) -> list[Row]:
    """Return a task's own webhooks."""
    return reader.read("select * from task_webhooks where task_id = :id", id=task_id)


def own_webhook(reader: Reader, webhook_id: str) -> Row | None:
    """Return one task's own webhook."""
    return reader.one("select * from task_webhooks where id = :id", id=webhook_id)


def write_deliveries(
    tx: Transaction,
    targets: Sequence[Target],
    *,
    message_id: str,
    event: str,
    body: str,
    owner: str | None,
    task_id: str | None,
    ids: Sequence[str],
    now_ms: int,
) -> None:
    """Write an event and its deliveries, one for each target, under the given ids."""
    tx.run(
        """insert into webhook_messages (id, event, owner, task_id, body, created_at_ms)
           values (:id, :event, :owner, :task, :body, :now)""",
        id=message_id,
        event=event,
        owner=owner,
        task=task_id,
        body=body,
        now=now_ms,
    )
    tx.run_many(
        """insert into webhook_deliveries (id, message_id, target, endpoint_id, owner, event, host, url,
               state, next_at_ms, created_at_ms)
           values (:id, :message, :target, :endpoint, :owner, :event, :host, :url, 'waiting', :now, :now)""",
        [
            {
                "id": delivery_id,
                "message": message_id,
                "target": target.id,
                "endpoint": target.endpoint_id,
                "owner": target.owner,
                "event": event,
                "host": target.host,
                "url": target.url,
                "now": now_ms,
            }
            for delivery_id, target in zip(ids, targets, strict=True)
        ],
    )


def has_message(reader: Reader, message_id: str) -> bool:
    """Whether an event was written under an id."""
    return reader.one("select 1 from webhook_messages where id = :id", id=message_id) is not None


def delivery(reader: Reader, delivery_id: str) -> Row | None:
    """Return a delivery with the body of its message."""
    return reader.one(
        """select d.*, m.body, m.task_id from webhook_deliveries d
           join webhook_messages m on m.id = d.message_id where d.id = :id""",
        id=delivery_id,
    )


def n_busy(reader: Reader, host: str, now_ms: int, *, beside: str, url: str | None = None) -> int:
    """Count the deliveries to a host (or to one URL of it) that are on their way now, beside one."""
    sql = """select count(*) from webhook_deliveries where host = :host and state = 'waiting'
                 and busy_until_ms > :now and id <> :beside and url = coalesce(:url, url)"""
    return int(reader.value(sql, host=host, now=now_ms, beside=beside, url=url))


def n_waiting(reader: Reader, host: str) -> int:
    """Count the deliveries to a host that have not ended."""
    sql = "select count(*) from webhook_deliveries where host = :host and state = 'waiting'"
    return int(reader.value(sql, host=host))


def last_duration_ms(reader: Reader, host: str, url: str | None = None) -> int | None:
    """Return how long the latest attempt to a host (or one URL of it) took; None without one lately."""
    sql = """select last_ms from
                 (select seq, url, last_ms from webhook_deliveries
                  where host = :host and last_ms is not null order by seq desc limit :n) as recent
             where url = coalesce(:url, url) order by seq desc limit 1"""
    found: int | None = reader.value(sql, host=host, url=url, n=_LATELY)
    return found


def move(tx: Transaction, delivery_id: str, url: str, host: str) -> None:
    """Send a delivery where its endpoint is now."""
    tx.run(
        "update webhook_deliveries set url = :url, host = :host where id = :id",
        id=delivery_id,
        url=url,
        host=host,
    )


def begin_attempt(tx: Transaction, delivery_id: str, *, now_ms: int, busy_until_ms: int) -> int:
    """Open an attempt and return its number."""
    row = tx.one(
        """update webhook_deliveries set n_attempts = n_attempts + 1, busy_until_ms = :busy, next_at_ms = null
           where id = :id returning n_attempts""",
        id=delivery_id,
        busy=busy_until_ms,
    )
    attempt = int(row["n_attempts"]) if row else 1
    tx.run(
        "insert into webhook_attempts (delivery_id, attempt, started_at_ms) values (:id, :attempt, :now)",
        id=delivery_id,
        attempt=attempt,
        now=now_ms,
    )
    return attempt


def end_attempt(tx: Transaction, delivery_id: str, attempt: int, values: Mapping[str, Any]) -> None:
    """Write what came of an attempt."""
    tx.run(
        """update webhook_attempts set duration_ms = :duration_ms, status = :status,
               error_code = :error_code, error_message = :error_message, answer = :answer
           where delivery_id = :id and attempt = :attempt""",
        id=delivery_id,
        attempt=attempt,
        **values,
    )


def end_delivery(
    tx: Transaction,
    delivery_id: str,
    state: str,
    *,
    now_ms: int,
    status: int | None = None,
    error: tuple[str, str] | None = None,
    duration_ms: int | None = None,
    failed: bool = True,
    next_at_ms: int | None = None,
) -> int:
    """Write where a delivery stands after an attempt (`waiting` with its next time), return its failures."""
    row = tx.one(
        """update webhook_deliveries set state = :state, status = :status, error_code = :code,
               error_message = :message, last_ms = coalesce(:duration, last_ms), busy_until_ms = null,
               n_failures = n_failures + :failed, next_at_ms = :next,
               finished_at_ms = case when :state = 'waiting' then null else :now end
           where id = :id returning n_failures""",
        id=delivery_id,
        state=state,
        status=status,
        code=error[0] if error else None,
        message=error[1] if error else None,
        duration=duration_ms,
        failed=int(failed),
        next=next_at_ms,
        now=now_ms,
    )
    return int(row["n_failures"]) if row else 0


def begin_again(tx: Transaction, delivery_id: str, now_ms: int) -> bool:
    """Make a delivery wait again, with fresh tries; return False when there is none."""
    changed = tx.run(
        """update webhook_deliveries set state = 'waiting', n_failures = 0, next_at_ms = :now,
               busy_until_ms = null, finished_at_ms = null where id = :id""",
        id=delivery_id,
        now=now_ms,
    )
    return changed == 1


def is_under_way(reader: Reader, delivery_id: str, type_name: str) -> bool:
    """Whether a task still looks after a delivery: one may have been cancelled, or have died too often."""
    row = reader.one(
        """select 1 from tasks where type = :type and payload = :payload
               and state in ('scheduled', 'queued', 'running', 'retrying')""",
        type=type_name,
        payload=json.dumps({"delivery_id": delivery_id}, separators=(",", ":")),
    )
    return row is not None


def ended_badly(
    reader: Reader, owner: str | None, since_ms: int, endpoint_id: str | None, limit: int
) -> list[str]:
    """Return the ids of the deliveries that failed since a time, of an owner or of all, oldest first."""
    rows = reader.read(
        """select id from webhook_deliveries
           where owner = coalesce(:owner, owner) and created_at_ms >= :since
               and state in ('failed', 'dropped')
               and coalesce(endpoint_id, '') = coalesce(:endpoint, endpoint_id, '')
           order by seq limit :limit""",
        owner=owner,
        since=since_ms,
        endpoint=endpoint_id,
        limit=limit,
    )
    return [row["id"] for row in rows]


def note_success(tx: Transaction, endpoint_id: str) -> None:
    """Forget an endpoint's exhausted deliveries; nothing is written when there were none."""
    tx.run(
        """update webhook_endpoints set exhausted_in_a_row = 0
           where id = :id and exhausted_in_a_row > 0""",
        id=endpoint_id,
    )


def note_exhausted(tx: Transaction, endpoint_id: str) -> int:
    """Count a delivery that failed for good; return how many did in a row."""
    row = tx.one(
        """update webhook_endpoints set exhausted_in_a_row = exhausted_in_a_row + 1
           where id = :id returning exhausted_in_a_row""",
        id=endpoint_id,
    )
    return int(row["exhausted_in_a_row"]) if row else 0


def disable(tx: Transaction, endpoint_id: str, reason: str, now_ms: int) -> bool:
    """Switch an endpoint off; return False when it was off already."""
    changed = tx.run(
        """update webhook_endpoints set active = 0, disabled_at_ms = :now, disabled_reason = :reason
           where id = :id and active = 1""",
        id=endpoint_id,
        reason=reason[:300],
        now=now_ms,
    )
    return changed == 1


def remove_messages(tx: Transaction, before_ms: int, *, limit: int) -> int:
    """Delete at most `limit` messages older than a time, with deliveries and attempts; return how many."""
    ids = [
        row["id"]
        for row in tx.read(
            "select id from webhook_messages where created_at_ms < :before order by created_at_ms limit :n",
            before=before_ms,
            n=limit,
        )
    ]
    names, params = listed("id", ids)
    tx.run(
        f"""delete from webhook_attempts where delivery_id in
            (select id from webhook_deliveries where message_id in ({names}))""",
        **params,
    )
    tx.run(f"delete from webhook_deliveries where message_id in ({names})", **params)
    tx.run(f"delete from webhook_messages where id in ({names})", **params)
    return len(ids)
