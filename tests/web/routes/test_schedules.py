import json

import pytest

from engine.records import db
from engine.words import Role

BASE = "/api/schedules"
DRAFT = {"name": "night", "cron": "0 2 * * *", "type": "probe"}


@pytest.fixture
def olga(people):
    return people.by_token("olga", Role.OPS)


def add(client, **fields):
    answer = client.post(BASE, json={**DRAFT, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def n_schedules():
    return db.main().value("select count(*) from schedules where removed_at_ms is null")


def test_a_schedule_from_making_to_removing(olga):
    made = add(olga, payload={"note": "hi"}, zone="Europe/Berlin")
    assert (made["owner"], made["payload"]["note"]) == ("olga", "hi")
    path = f"{BASE}/{made['schedule_id']}"
    assert olga.post(f"{path}/pause").json()["next_run"] is None
    assert olga.post(f"{path}/resume").json()["next_run"] == made["next_run"]
    assert olga.patch(path, json={"cron": "@hourly"}).json()["cron"] == "@hourly"
    task = olga.post(f"{path}/run")
    assert (task.status_code, task.json()["type"]) == (202, "probe")
    assert [h["action"] for h in olga.get(path).json()["history"]] == [
        "run now",
        "changed",
        "resumed",
        "paused",
        "created",
    ]
    assert [item["name"] for item in olga.get(BASE).json()["items"]] == ["night"]
    assert olga.get(f"{path}/occurrences").json() == {"items": [], "next": None}
    assert olga.delete(path, params={"waiting": "cancel"}).json() == {"n_cancelled": 1, "n_kept": 0}
    assert olga.get(BASE).json()["items"] == []


def test_wrong_fields_are_told_all_at_once_and_nothing_is_stored(olga):
    answer = olga.post(BASE, json={**DRAFT, "cron": "0 0 * * mon#2", "payload": {"sleep_ms": -1}})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["position"]) == (422, "unsupported", 11)
    assert set(error["fields"]) == {"cron", "payload.sleep_ms"}
    assert olga.post(BASE, json=[]).status_code == 422
    assert olga.post(BASE, json={}).status_code == 422
    assert n_schedules() == 0


def test_a_name_taken_is_a_conflict_and_a_type_beyond_the_role_forbidden(olga, people):
    add(olga)
    assert olga.post(BASE, json=DRAFT).status_code == 409
    anna = people.by_token("anna")
    assert anna.post(BASE, json=DRAFT).status_code == 403
    assert anna.post(BASE, json={**DRAFT, "type": "cleanup"}).status_code == 403
    assert people.by_token("vera", Role.VIEWER).post(BASE, json=DRAFT).status_code == 403


def test_schedules_of_others_are_not_there(olga, people):
    path = f"{BASE}/{add(olga)['schedule_id']}"
    anna = people.by_token("anna")
    assert anna.get(BASE).json()["items"] == []
    assert anna.get(path).status_code == anna.delete(path).status_code == 404
    assert anna.post(f"{path}/run").status_code == anna.get(f"{path}/occurrences").status_code == 404


def test_batch_in_json_and_csv_is_all_or_nothing(olga):
    rows = [{**DRAFT, "name": f"n{i}"} for i in range(3)]
    assert len(olga.post(f"{BASE}/batch", json={"schedules": rows}).json()["items"]) == 3
    csv = "name,cron,type,payload.note\na,@daily,probe,x\nb,@hourly,probe,\n"
    done = olga.post(f"{BASE}/batch", content=csv, headers={"Content-Type": "text/csv"})
    assert (done.status_code, len(done.json()["items"])) == (201, 2)
    wrong = "name,cron,type\nc,@daily,probe\nd,99 * * * *,probe\n"
    refused = olga.post(f"{BASE}/batch", content=wrong, headers={"Content-Type": "text/csv"})
    assert (refused.status_code, set(refused.json()["error"]["fields"])) == (422, {"schedules.1.cron"})
    assert n_schedules() == 5
    for data in (b"", b"[1]", b"\xff", json.dumps({"schedules": rows * 200}).encode()):
        assert olga.post(f"{BASE}/batch", content=data).status_code == 422
    broken = olga.post(f"{BASE}/batch", content=b"{")
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "malformed_json")


def test_a_removed_schedule_says_so(olga):
    path = f"{BASE}/{add(olga)['schedule_id']}"
    assert olga.get(path).json()["removed_at"] is None
    assert olga.delete(path).status_code == 200
    assert olga.get(path).json()["removed_at"] == olga.get(path).json()["history"][0]["at"]


def test_stats_and_forecast(olga):
    add(olga)
    (item,) = olga.get(f"{BASE}/stats").json()["items"]
    assert (item["name"], item["expected"]) == ("night", 0)
    assert olga.get(f"{BASE}/stats", params={"hours": 0}).status_code == 422
    assert olga.get(f"{BASE}/forecast").json()["total"] == 7


def test_a_cursor_beyond_what_a_database_counts_to_is_refused(olga):
    path = f"{BASE}/{add(olga)['schedule_id']}/occurrences"
    assert olga.get(path, params={"cursor": str(2**62)}).json() == {"items": [], "next": None}
    answer = olga.get(path, params={"cursor": str(2**63)})
    assert answer.status_code == 422
    assert list(answer.json()["error"]["fields"]) == ["cursor"]


def test_changes_by_cookie_need_the_same_origin(people):
    client = people.by_cookie("olga", Role.OPS)
    made = add(client)
    del client.headers["origin"]
    assert client.post(f"{BASE}/{made['schedule_id']}/pause").status_code == 403
