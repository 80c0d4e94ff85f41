"""Workers and queue: what ops see and do."""

import pytest

from engine import clock, lifecycle
from engine.queries import queue, workers
from engine.records import db
from engine.records import workers as rows
from engine.words import Actor, Role
from tests.pages.conftest import counters, texts

GRACE = Actor("grace", Role.OPS)


def add_worker(name, heartbeat_ago_s=0, stopped=None):
    now_ms = clock.now_ms()
    row = {"id": name, "host": "mill", "pid": 4711, "threads": 4, "version": "1", "types": "probe"}
    with db.main().write() as tx:
        rows.register(tx, {**row, "started_at_ms": now_ms, "host_key": "k", "start_ticks": 1})
        tx.run(
            "update workers set heartbeat_at_ms = :at where id = :id",
            at=now_ms - int(heartbeat_ago_s * 1000),
            id=name,
        )
        if stopped:
            rows.stop(tx, name, now_ms, stopped)


def test_alive_silent_and_gone_are_told_apart(browse):
    add_worker("a")
    add_worker("b", heartbeat_ago_s=40)
    add_worker("c", stopped="process gone")
    page = texts(browse(Role.OPS, "operations"))
    assert "Alive" in page
    assert "Silent for 4" in page, "40 s, and what the page took to be drawn"
    assert "Possibly gone" in page
    assert "Gone" in page
    assert "process gone" in page


def test_what_a_worker_does_is_said_in_words(browse):
    add_worker("a")
    task = lifecycle.submit(GRACE, "probe", {"note": "count the books"}).task
    with db.main().write() as tx:
        tx.run("update tasks set state = 'running', worker_id = 'a' where id = :id", id=task.id)
    links = [link.proto for link in browse(Role.OPS, "operations").get("page_link")]
    named = {link.label.replace("\\", ""): link.query_string for link in links}
    assert named["Probe: count the books"] == f"id={task.id}"


def test_without_a_worker_the_page_says_how_to_start_one(browse):
    assert "huey_consumer engine.worker.huey" in texts(browse(Role.OPS, "operations"))


def test_backlog_counts_by_type(browse):
    for _ in range(3):
        lifecycle.submit(GRACE, "probe", {})
    lifecycle.submit(GRACE, "probe", {}, run_at_ms=clock.now_ms() + 3_600_000)
    (row,) = queue.backlog(["probe"])
    assert (row.n_queued, row.n_later, row.n_running, row.paused_by) == (3, 1, 0, None)
    assert row.latency_ms is not None
    (table,) = browse(Role.OPS, "operations").dataframe
    probe = table.value[table.value["type"] == "Probe"]
    assert list(probe["queued"]) == [3]


def test_pause_and_resume_ask_nothing(browse):
    at = browse(Role.OPS, "operations")
    next(b for b in at.button if b.label == "Pause").click().run()
    assert [p["scope"] for p in workers.pauses()] == ["*"]
    assert at.toast[0].value == "Paused. Running work goes on."
    next(b for b in at.button if b.label == "Resume").click().run()
    assert workers.pauses() == []


def test_a_purge_asks_with_the_count_and_wants_the_name_typed(browse):
    lifecycle.submit(GRACE, "probe", {})
    at = browse(Role.OPS, "operations")
    next(b for b in at.button if b.label == "Purge waiting tasks").click().run()
    assert "1 waiting task" in texts(at)
    (confirm,) = [b for b in at.button if b.label == "Cancel them"]
    assert confirm.disabled
    assert queue.backlog(["probe"])[0].n_queued == 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.STAFF])
def test_others_do_not_have_the_page(browse, role):
    with pytest.raises(ValueError, match="operations"):
        browse(role, "operations")


def test_system_types_cannot_be_paused(browse):
    at = browse(Role.OPS, "operations")
    assert "Clean-up" not in at.selectbox[0].options


def test_counters_lead_to_the_tasks_they_counted(browse):
    lifecycle.submit(GRACE, "probe", {})
    assert counters(browse(Role.OPS, "operations"))["1 Queued"] == "state=Queued"
