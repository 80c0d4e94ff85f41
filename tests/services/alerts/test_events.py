"""What is told of an alert is told once, whoever dies, waits or comes second."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from engine import lifecycle, tasks, worker
from engine.queries import alerts as reads
from engine.records import alerts as records
from engine.records import db
from engine.services import alerts, webhooks
from engine.services.alerts import events
from engine.words import SYSTEM
from tests.engine_kit import in_threads
from tests.services.alerts.kit import HOUR, NOW, OPS, SLOW, beats, for_telling, messages

AGAIN = NOW + alerts.EVERY_MS


@pytest.fixture
def heard(at):
    """An endpoint of those who operate, and a rule about stalled tasks that opens at once."""
    tasks.load()
    webhooks.create(SYSTEM, {"url": "https://hooks.example.com/ops", "events": ["alert.*"]})
    rule = replace(SLOW, measure="stalled", threshold=0, to_open=1, to_clear=1)
    alerts.save(OPS, rule)
    return rule


@pytest.fixture
def stalled(monkeypatch):
    """How many tasks have stalled, as the test says."""
    found = [1]
    monkeypatch.setattr(reads, "stalled_tasks", lambda now_ms: found[0])
    return found


def untold():
    return records.untold(db.metrics(), limit=10)


def n_deliveries():
    return db.main().value("select count(*) from webhook_deliveries")


def test_those_who_operate_hear_of_opening_and_clearing(heard, stalled):
    assert beats(1) == [1]
    stalled[0] = 0
    assert beats(1, start=AGAIN) == [1]
    (first, opened, data), (second, resolved, after) = messages()
    assert (opened, resolved) == ("alert.opened", "alert.resolved")
    assert first != second
    assert data == {
        "alert_id": 1,
        "rule_id": "slow",
        "title": "Requests are slow",
        "measure": "stalled",
        "threshold": 0,
        "value": 1,
        "message": "Running tasks without a heartbeat: 1 (alarm above 0), n = 1",
        "reason": None,
        "at": "2026-09-21T14:13:20.000Z",
    }
    assert (after["alert_id"], after["reason"], after["value"]) == (1, "good", 0)
    assert (untold(), n_deliveries()) == ([], 2)


def test_the_beat_of_a_worker_evaluates_and_tells(heard, stalled):
    worker.DUTIES["alerts"]()
    assert [event for _, event, _ in messages()] == ["alert.opened"]


class Dead(BaseException):
    """The process dies here."""


def dies(*_args, **_options):
    raise Dead


@pytest.mark.parametrize(
    ("place", "name", "n_written"),
    [(events, "tell", 0), (lifecycle, "emit", 0), (records, "note_told", 1)],
)
def test_a_death_after_opening_leaves_the_telling_to_the_next_beat(
    heard, stalled, monkeypatch, place, name, n_written
):
    with monkeypatch.context() as patch:
        patch.setattr(place, name, dies)
        with pytest.raises(Dead):
            alerts.beat(NOW)
    assert len(reads.opened()) == 1
    assert len(messages()) == n_written
    (waiting,) = untold()
    assert beats(3, start=AGAIN) == [0, 0, 0]
    assert [message_id for message_id, _, _ in messages()] == [waiting.id]
    assert (untold(), n_deliveries()) == ([], 1)


def test_a_death_before_the_commit_opens_and_tells_nothing(heard, stalled, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(records, "write_event", dies)
        with pytest.raises(Dead):
            alerts.beat(NOW)
    assert (reads.history(), for_telling(), messages()) == ([], [], [])
    assert beats(1, start=AGAIN) == [1]
    assert len(messages()) == 1


KILLED = """
import os, signal, sys
from engine import lifecycle, tasks, worker
from engine.queries import alerts as reads
from engine.records import alerts as records
from engine.services import alerts
from engine.services.alerts import events
tasks.load()
reads.stalled_tasks = lambda now_ms: 1
def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)
place, name = {"tell": events, "emit": lifecycle, "note_told": records}, sys.argv[1]
setattr(place[name], name, die)
alerts.beat(int(sys.argv[2]))
"""


@pytest.mark.parametrize("name", ["tell", "emit", "note_told"])
def test_a_killed_worker_loses_no_message_and_another_tells_it_once(heard, stalled, name):
    killed = subprocess.run([sys.executable, "-c", KILLED, name, str(NOW)], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    (waiting,) = untold()
    alerts.beat(AGAIN)
    assert [message_id for message_id, _, _ in messages()] == [waiting.id]
    assert n_deliveries() == 1


def test_while_the_other_file_is_locked_the_alert_opens_and_is_told_later(heard, stalled, monkeypatch):
    monkeypatch.setenv("OFFLOAD_BUSY_TIMEOUT_S", "0.1")
    db.reset()
    holder = sqlite3.connect(db.main().path, isolation_level=None)
    with closing(holder):
        holder.execute("begin immediate")
        with pytest.raises(db.LockedOrFull):
            alerts.beat(NOW)
    assert len(reads.opened()) == 1
    assert len(untold()) == 1
    assert beats(1, start=AGAIN) == [0]
    assert [event for _, event, _ in messages()] == ["alert.opened"]


def test_one_event_that_cannot_be_told_holds_up_no_other(heard, stalled, monkeypatch):
    alerts.save(OPS, replace(heard, id="other"))
    real = lifecycle.emit

    def emit(tx, event, data, **options):
        if data["rule_id"] == "other":
            raise ValueError("cannot be told")
        return real(tx, event, data, **options)

    monkeypatch.setattr(lifecycle, "emit", emit)
    assert beats(1) == [2]
    assert [data["rule_id"] for _, _, data in messages()] == ["slow"]
    assert [event.data["rule_id"] for event in untold()] == ["other"]


def test_two_who_tell_the_same_tell_it_once(heard, stalled, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(events, "tell", lambda: 0)
        alerts.beat(NOW)
    waiting = untold()
    monkeypatch.setattr(records, "untold", lambda reader, limit: waiting)  # both read before either told
    assert in_threads(*[alerts.tell] * 4) == [1] * 4
    assert len(messages()) == 1
    assert n_deliveries() == 1


BEATING = """
import sys
from engine import tasks
from engine.queries import alerts as reads
from engine.services import alerts
tasks.load()
reads.stalled_tasks = lambda now_ms: 1
sys.stdin.readline()
alerts.beat(int(sys.argv[1]))
"""


def test_of_several_workers_at_once_one_evaluates_and_tells(heard):
    command = [sys.executable, "-c", BEATING, str(NOW)]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, text=True)) for _ in range(3)
        ]
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert reads.standing("slow").n_bad == 1
    assert len(messages()) == 1


def test_an_alert_that_opened_under_a_mute_is_never_told(heard, stalled):
    alerts.mute(OPS, "slow", NOW + HOUR)
    assert beats(1) == [1]
    stalled[0] = 0
    assert beats(1, start=NOW + 2 * HOUR) == [1]
    assert reads.history()[0].cleared_reason == "good"
    assert (for_telling(), messages()) == ([], [])


def test_whoever_was_told_of_an_opening_is_told_of_its_end_though_muted(heard, stalled):
    beats(1)
    alerts.mute(OPS, "slow", NOW + HOUR)
    stalled[0] = 0
    beats(1, start=AGAIN)
    assert [event for _, event, _ in messages()] == ["alert.opened", "alert.resolved"]


def test_after_a_mute_the_next_alert_is_told(heard, stalled):
    alerts.mute(OPS, "slow", NOW + HOUR)
    beats(1)
    stalled[0] = 0
    beats(1, start=AGAIN)
    stalled[0] = 1
    beats(1, start=NOW + HOUR)
    assert [(event, data["alert_id"]) for _, event, data in messages()] == [("alert.opened", 2)]


def test_what_a_person_closed_is_told_by_the_next_beat(heard, stalled):
    beats(1)
    alerts.remove(OPS, "slow")
    assert len(messages()) == 1
    beats(1, start=AGAIN)
    assert [data["reason"] for _, _, data in messages()] == [None, "rule_removed"]


def test_one_alert_of_a_rule_is_open_at_a_time(at):
    with db.metrics().write() as tx:
        records.save(tx, SLOW, at_ms=NOW, by="ann")
        assert events.opened(tx, SLOW, 1, "m", NOW)
        assert events.opened(tx, SLOW, 1, "m", NOW) is None
    assert len(reads.opened()) == 1


def test_alerts_open_before_events_were_written_are_told_when_they_clear(heard, stalled, tmp_path):
    beats(1)
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(db.metrics().path)) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
        for sql in (
            "drop table alert_events",
            "alter table alerts drop column cleared_reason",
            "alter table alert_rules drop column n_quiet",
            "delete from _sqlite_migrations where name = 'create_alert_events'",
        ):
            copy.execute(sql)
        copy.commit()
    db._migrate(path, db.schema.METRICS)
    with closing(sqlite3.connect(path)) as copy:
        rows = copy.execute("select alert_id, event, told_at_ms from alert_events").fetchall()
    assert rows == [(1, "alert.opened", NOW)]
