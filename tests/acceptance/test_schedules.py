"""Schedules under fire: three workers, killed again and again, enqueue each occurrence exactly once."""

import signal
import time
from contextlib import suppress

import psutil

from engine import clock
from engine.cli.output import COMMAND_LINE
from engine.records import db
from engine.records import schedules as rows
from engine.services import schedules

N_SCHEDULES = 60
MINUTE_MS = 60_000


def test_three_workers_and_kills_enqueue_each_occurrence_once(new_room):
    room = new_room(WORKERS="1", SCHEDULE_MISSED_S="86400")
    drafts = [{"name": f"s{i}", "cron": "* * * * *", "type": "probe"} for i in range(N_SCHEDULES)]
    made = schedules.create_many(COMMAND_LINE, drafts)
    consumers = [room.start() for _ in range(3)]
    expected = 0
    for _ in range(6):
        # More and more due times of each schedule come at once, most of them for the second time, and a
        # worker dies while they are enqueued.
        first_ms = (clock.now_ms() // MINUTE_MS - 4 - expected) * MINUTE_MS
        with db.main().write() as tx:
            for schedule in made:
                rows.update(tx, schedule.id, {"next_at_ms": first_ms})
        time.sleep(0.3)
        victim = consumers.pop(0)
        with suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGKILL)
        victim.wait(5)
        consumers.append(room.start_without_waiting())
        expected += 5
    room.house.wait(
        lambda: not rows.due(db.main(), clock.now_ms() - MINUTE_MS, 1), "the beats to catch up", 40
    )
    room.drain(within_s=90)
    twice = db.main().read(
        """select o.schedule_id, o.due_at_ms from occurrences o join tasks t on t.schedule_id = o.schedule_id
           and t.id = o.task_id group by o.schedule_id, o.due_at_ms having count(*) <> 1"""
    )
    n_occurrences, n_with_task, n_tasks = (
        db.main().value(sql)
        for sql in (
            "select count(*) from occurrences",
            "select count(distinct task_id) from occurrences where decision = 'enqueued'",
            "select count(*) from tasks where schedule_id is not null",
        )
    )
    assert twice == []
    assert n_occurrences >= N_SCHEDULES * 10
    assert n_occurrences == n_with_task == n_tasks
