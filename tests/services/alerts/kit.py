"""Shorthands for tests of alerts: a rule, beats, and what was told."""

import json

from engine.records import db
from engine.records.alerts import Rule
from engine.services import alerts
from engine.words import Actor, Role

OPS = Actor("olga", Role.OPS)
NOW = 1_790_000_000_000
HOUR = 3_600_000
SLOW = Rule("slow", "Requests are slow", "p95", 500, least_n=20)


def beats(n, *, start=NOW):
    """Beat so many times, 30 s apart; return how much happened at each."""
    return [alerts.beat(start + k * alerts.EVERY_MS) for k in range(n)]


def for_telling():
    """What is written for telling, oldest first: event and data."""
    rows = db.metrics().read("select event, data from alert_events order by seq")
    return [(row["event"], json.loads(row["data"])) for row in rows]


def messages():
    """What webhooks were told, oldest first: id, event, data."""
    rows = db.main().read("select id, event, body from webhook_messages order by created_at_ms, rowid")
    return [(row["id"], row["event"], json.loads(row["body"])["data"]) for row in rows]
