import pytest

from engine import lifecycle, registry
from engine.lifecycle import Ending
from engine.queue import endings
from engine.queue.running import Running
from engine.words import Actor, Outcome, Role

ADMIN = "/async-monitoring/admin"
OPS = Actor("olga", Role.OPS)


@pytest.fixture
def olga(people):
    return people.by_token("olga", Role.OPS)


@pytest.mark.parametrize("path", ["cleanup/", "queue/pause/", "queue/resume/", "queue/purge/"])
def test_staff_do_not_operate(people, path):
    assert people.by_token("sam", Role.STAFF).post(f"{ADMIN}/{path}").status_code == 403


def test_cleanup_is_handed_to_a_worker(olga):
    answer = olga.post(f"{ADMIN}/cleanup/", json={"dry_run": True})
    assert (answer.status_code, answer.json()["type"], answer.json()["state"]) == (202, "cleanup", "queued")


def test_paused_type_is_not_claimed_until_it_is_resumed(olga):
    lifecycle.submit(OPS, "probe", {})
    assert olga.post(f"{ADMIN}/queue/pause/", json={"type": "probe"}).json()["paused"] == ["probe"]
    assert lifecycle.claim("w", registry.all_types()) is None
    assert olga.post(f"{ADMIN}/queue/resume/", json={"type": "probe"}).json()["paused"] == []
    assert lifecycle.claim("w", registry.all_types()) is not None


def test_purge_counts_what_it_cancelled(olga):
    ids = lifecycle.submit_many(OPS, "probe", [{}] * 3)
    assert olga.post(f"{ADMIN}/queue/purge/").json() == {"n_cancelled": 3}
    assert olga.get(f"/api/tasks/{ids[0]}").json()["state"] == "cancelled"


def test_pausing_an_unknown_type_is_refused(olga):
    assert olga.post(f"{ADMIN}/queue/pause/", json={"type": "nothing"}).status_code == 422


def test_one_task_says_why_it_waits_and_what_happened(olga):
    task = lifecycle.submit(OPS, "probe", {}).task
    document = olga.get(f"/api/tasks/{task.id}").json()
    assert document["waiting"]["code"] == "no_worker"
    assert [entry["what"] for entry in document["timeline"]] == ["queued"]


def test_large_result_is_kept_as_a_file_and_served_whole(olga):
    lifecycle.submit(OPS, "probe", {})
    task = lifecycle.claim("w", registry.all_types())
    value = {"text": "x" * 70_000}
    ending = endings.succeeded(Running(task, 60), value)
    lifecycle.settle(task, ending)
    assert olga.get(f"/api/tasks/{task.id}/result").json() == value
    assert set(olga.get(f"/api/tasks/{task.id}").json()["result"]) == {"artifact_id", "bytes", "sha256"}


def test_result_of_a_failed_task_is_not_ready(olga):
    lifecycle.submit(OPS, "probe", {})
    task = lifecycle.claim("w", registry.all_types())
    lifecycle.settle(task, Ending(Outcome.FAILED, error=("x", "y"), permanent=True))
    assert olga.get(f"/api/tasks/{task.id}/result").status_code == 409
