"""Shorthands for tests of schedules: people who are users, a short way to make one, occurrences as stored."""

from engine.records import db, users
from engine.services import schedules
from tests import engine_kit as kit

MINUTE_MS = 60_000


def add_people():
    with db.main().write() as tx:
        for actor in (kit.ANN, kit.BOB, kit.OPS, kit.EVE):
            users.add(tx, actor.name, actor.role)


def draft(**fields):
    return {"name": "nightly", "cron": "*/5 * * * *", "type": "job", **fields}


def add(actor=kit.ANN, **fields):
    return schedules.create(actor, draft(**fields))


def stored(schedule):
    from engine.records import schedules as rows

    return rows.get(db.main(), schedule.id)


def occurrences(schedule):
    """(minutes after noon, decision, caught up, whether there is a task) of each, in order."""
    found = db.main().read(
        "select * from occurrences where schedule_id = :id order by due_at_ms", id=schedule.id
    )
    return [
        ((o["due_at_ms"] - kit.NOON_MS) // MINUTE_MS, o["decision"], o["caught_up"], o["task_id"] is not None)
        for o in found
    ]


def decisions(schedule):
    return [(minute, decision) for minute, decision, _, _ in occurrences(schedule)]


def n_tasks(schedule):
    return db.main().value("select count(*) from tasks where schedule_id = :id", id=schedule.id)


def history(schedule):
    found = db.main().read(
        "select action from schedule_changes where schedule_id = :id order by id", id=schedule.id
    )
    return [row["action"] for row in found]
