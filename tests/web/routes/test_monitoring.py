import sqlite3

import anyio.to_thread
import pytest

from engine import lifecycle
from engine.records import db
from engine.services import access
from engine.words import SYSTEM, Actor, Role

STATUS = "/async-monitoring/tasks/{}/status/"
HEALTH = "/async-monitoring/health/"
BULK = "/async-monitoring/tasks/bulk-status/"


def submit(owner="olga", **options):
    return lifecycle.submit(Actor(owner, Role.OPS), "probe", {}, **options).task.id


def test_status_is_the_task_document(people):
    task_id = submit()
    document = people.by_token("olga", Role.OPS).get(STATUS.format(task_id)).json()
    assert document["task_id"] == task_id
    assert (document["type"], document["state"], document["progress"]) == ("probe", "queued", 0)
    assert document["error"] is None
    assert document["links"]["status"] == STATUS.format(task_id)
    assert set(document) >= {"progress_note", "attempt", "max_attempts", "owner", "created_at", "started_at",
                             "finished_at", "result", "correlation_id"}  # fmt: skip


def test_a_missing_last_slash_is_forgiven(people):
    client = people.by_token("olga", Role.OPS)
    assert client.get(STATUS.format(submit()).rstrip("/")).status_code == 200
    assert client.get(HEALTH.rstrip("/")).status_code == 200


def test_work_of_others_is_not_found_below_ops(people):
    task_id = submit()
    for role, status in ((Role.VIEWER, 404), (Role.STAFF, 404), (Role.OPS, 200), (Role.ADMIN, 200)):
        client = people.by_token(f"user-{role}", role)
        assert client.get(STATUS.format(task_id)).status_code == status
        assert client.post(f"/async-monitoring/tasks/{task_id}/cancel/").status_code in (
            (404,) if status == 404 else (200, 409)
        )


@pytest.mark.parametrize(
    "task_id", ["x", "%2e%2e%2fetc", "'; drop table tasks; --", "a" * 5000, "%00", "%ff"]
)
def test_hostile_ids_are_not_found(people, task_id):
    answer = people.by_token("olga", Role.OPS).get(STATUS.format(task_id))
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_bulk_status_keeps_the_order_and_names_what_is_missing(people):
    mine, other = [submit("sam") for _ in range(3)], submit("olga")
    asked = [mine[2], "nothing", mine[0], other]
    document = people.by_token("sam").post(BULK, json={"task_ids": asked}).json()
    assert [item["task_id"] for item in document["items"]] == [mine[2], mine[0]]
    assert document["missing"] == ["nothing", other]
    assert document["next"] is None


@pytest.mark.parametrize(
    ("ids", "status"),
    [(["x"] * 100, 200), (["x"] * 101, 422), ([], 422), ("x", 422), ([1], 422), (["x" * 65], 422)],
)
def test_bulk_status_takes_one_to_100_ids(people, ids, status):
    assert people.by_token("sam").post(BULK, json={"task_ids": ids}).status_code == status


def test_bulk_status_is_one_query(people):
    ids = [submit("sam") for _ in range(100)]
    client = people.by_token("sam")
    client.post(BULK, json={"task_ids": ids})
    statements = []
    original = db.Database.read

    def counted(self, sql, /, **params):
        statements.append(sql)
        return original(self, sql, **params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db.Database, "read", counted)
        assert len(client.post(BULK, json={"task_ids": ids}).json()["items"]) == 100
    assert len(statements) == 1


def test_cancel_says_whether_it_was_waiting_or_has_ended(people):
    client, path = people.by_token("olga", Role.OPS), f"/async-monitoring/tasks/{submit()}/cancel/"
    first, second = client.post(path), client.post(path)
    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    assert (second.status_code, second.json()["error"]["code"]) == (409, "already_ended")


def test_cancel_of_running_work_is_202(people):
    task_id = submit()
    with db.main().write() as tx:
        tx.run("update tasks set state = 'running', worker_id = 'w', token = 1")
    answer = people.by_token("olga", Role.OPS).post(f"/async-monitoring/tasks/{task_id}/cancel/")
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    assert answer.json()["cancel_requested"] is True


def test_viewers_cancel_nothing(people):
    client = people.by_cookie("vera", Role.STAFF)
    task_id = lifecycle.submit(SYSTEM, "probe", {}).task.id
    with db.main().write() as tx:
        tx.run("update tasks set owner = 'vera'")
    access.set_role(SYSTEM, "vera", Role.VIEWER)
    assert client.post(f"/async-monitoring/tasks/{task_id}/cancel/").status_code == 403


def test_health_says_little_to_strangers_and_more_to_ops(people):
    assert people.client().get(HEALTH).json() == {"status": "ok"}
    assert people.by_token("sam").get(HEALTH).json() == {"status": "ok"}
    assert people.client().get(HEALTH, headers={"Authorization": "Bearer x"}).json() == {"status": "ok"}
    document = people.by_token("olga", Role.OPS).get(HEALTH).json()
    assert document["status"] == "ok"
    assert document["tasks"]["queued"] == 0
    assert document["n_workers_alive"] == 0


@pytest.mark.parametrize("kind", [sqlite3.OperationalError, sqlite3.DatabaseError])
def test_health_fails_when_the_database_does(people, monkeypatch, kind):
    client = people.client()

    def broken(self, sql, /, **params):
        raise kind("disk I/O error, or database disk image is malformed")

    monkeypatch.setattr(db.Database, "value", broken)
    answer = client.get(HEALTH)
    assert (answer.status_code, answer.json()) == (503, {"status": "failing"})


def test_health_reads_the_file_and_not_only_its_connection(people, data_dir):
    client = people.client()
    assert client.get(HEALTH).status_code == 200
    with sqlite3.connect(data_dir / "offload.db") as other:  # nothing that was read before holds any longer
        other.execute("create table one_more (a)")
    other.execute("pragma wal_checkpoint(truncate)")
    other.close()
    (data_dir / "offload.db").write_bytes(b"no database at all, " * 200)
    answer = client.get(HEALTH)
    assert (answer.status_code, answer.json()) == (503, {"status": "failing"})


def test_health_says_that_the_main_file_is_not_there_any_more(people, data_dir):
    client, operator = people.client(), people.by_token("olga", Role.OPS)
    assert client.get(HEALTH).status_code == 200
    (data_dir / "offload.db").unlink()
    for answer in (client.get(HEALTH), operator.get(HEALTH)):
        assert (answer.status_code, answer.json()["status"]) == (503, "failing")
        assert answer.json()["reason"].startswith("offload.db was deleted or replaced")
    answer = operator.post("/api/tasks", json={"type": "probe", "payload": {}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_gone")
    assert not (data_dir / "offload.db").exists()


def test_status_and_health_answer_while_every_thread_waits_to_write(people, monkeypatch):
    client, task_id = people.by_token("olga", Role.OPS), submit()

    async def no_thread_is_free(*_arguments, **_options):
        raise AssertionError("this would wait as long as they do")

    monkeypatch.setattr(anyio.to_thread, "run_sync", no_thread_is_free)
    assert client.get(STATUS.format(task_id)).status_code == 200
    assert people.client().get(HEALTH).json() == {"status": "ok"}


def test_monitoring_is_for_ops(people):
    submit()
    path = "/async-monitoring/admin/monitoring/"
    lifecycle.pause(SYSTEM, "probe", "repairs")
    assert people.by_token("sam").get(path).status_code == 403
    document = people.by_token("olga", Role.OPS).get(path).json()
    assert document["tasks"]["queued"] == 1
    assert document["pauses"][0]["scope"] == "probe"
    assert document["pauses"][0]["paused_at"].endswith("Z")
