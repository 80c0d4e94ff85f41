"""The webhooks given with a submit: checked, their secrets made and sealed, stored with the task."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from engine import settings
from engine.errors import InvalidInput
from engine.lib import addresses, sealing, signing
from engine.records import webhooks
from engine.records.db import Transaction
from engine.records.tasks import Task

MOST = 10
"""Webhooks of one task."""
PURPOSE = "webhooks"
"""What their secrets are sealed for."""


def attach(tx: Transaction, task: Task, given: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], ...]:
    """Store a new task's webhooks; return each with its URL, and with its secret where it was made here.

    Raises InvalidInput with fields `webhooks.<index>.<field>`.
    """
    if not given:
        return ()
    checked = check(given)
    rows, shown = [], []
    for hook in checked:
        webhook_id = secrets.token_hex(12)
        secret = hook.get("secret") or signing.new_secret()
        rows.append(
            {
                "id": webhook_id,
                "task_id": task.id,
                "owner": task.owner,
                "url": hook["url"],
                "secret": sealer().seal(secret, webhook_id),
                "created_at_ms": task.created_at_ms,
            }
        )
        made = {} if hook.get("secret") else {"secret": secret}
        shown.append({"webhook_id": webhook_id, "url": hook["url"], **made})
    webhooks.attach(tx, rows)
    return tuple(shown)


def check(given: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return webhooks as given; raise InvalidInput naming each wrong field."""
    fields: dict[str, str] = {}
    if len(given) > MOST:
        fields["webhooks"] = f"at most {MOST} webhooks"
    for index, hook in enumerate(given):
        for name, message in _faults(hook).items():
            fields[f"webhooks.{index}.{name}"] = message
    if fields:
        raise InvalidInput("The webhooks are not valid.", fields=fields)
    return [dict(hook) for hook in given]


def sealer() -> sealing.Sealer:
    """Return what seals and opens webhook secrets."""
    return sealing.sealer(settings.get().data_dir, PURPOSE)


def _faults(hook: Mapping[str, Any]) -> dict[str, str]:
    found = dict.fromkeys(set(hook) - {"url", "secret"}, "is not a field of a webhook")
    url, secret = hook.get("url"), hook.get("secret")
    if not isinstance(url, str) or not addresses.check_url(url).allowed:
        found["url"] = "address not allowed"
    if secret is not None:
        try:
            signing.check_secret(str(secret))
        except InvalidInput as error:
            found["secret"] = error.message
    return found
