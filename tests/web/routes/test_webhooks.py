import pytest

from engine.words import Role
from tests.lib.http.hostile import answer
from tests.task_kit import run_next


@pytest.fixture
def ann(people):
    return people.by_token("ann")


BASE = "/api/webhooks"
URL = "https://hooks.example.com/in"


def make(client, **fields):
    return client.post(f"{BASE}/endpoints", json={"url": URL, **fields})


def test_the_secret_is_in_the_first_answer_only(ann):
    made = make(ann, events=["task.failed"], description="mine")
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    path = f"{BASE}/endpoints/{made.json()['endpoint_id']}"
    assert "secret" not in ann.get(path).json()
    (listed,) = ann.get(f"{BASE}/endpoints").json()["items"]
    assert listed == ann.get(path).json()
    assert (listed["events"], listed["description"], listed["active"]) == (["task.failed"], "mine", True)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "http://10.1.1.1/"}, "url"),
        ({"events": ["x"]}, "events"),
        ({"colour": 1}, "colour"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_a_wrong_field_is_named(ann, fields, field):
    refused = make(ann, **fields)
    assert (refused.status_code, list(refused.json()["error"]["fields"])) == (422, [field])


def test_is_changed_rotated_and_removed(ann):
    path = f"{BASE}/endpoints/{make(ann).json()['endpoint_id']}"
    assert ann.patch(path, json={"active": False}).json()["active"] is False
    rotated = ann.post(f"{path}/rotate")
    assert rotated.json()["secret"].startswith("whsec_")
    assert rotated.json()["previous_secret_until"]
    assert ann.post(f"{path}/rotate").status_code == 409
    assert ann.post(f"{path}/rotate", json={"leaked": True}).json()["previous_secret_until"] is None
    assert ann.delete(path).status_code == 204
    assert ann.get(path).status_code == 404


def test_others_find_nothing_and_viewers_make_nothing(ann, people):
    path = f"{BASE}/endpoints/{make(ann).json()['endpoint_id']}"
    bob = people.by_token("bob")
    for answered in (bob.get(path), bob.patch(path, json={}), bob.delete(path), bob.post(f"{path}/rotate")):
        assert answered.status_code == 404
    assert make(people.by_token("eve", Role.VIEWER)).status_code == 403
    assert people.by_token("olga", Role.OPS).get(path).status_code == 200


def test_a_test_event_is_delivered_logged_and_replayed(ann, people, server):
    server.on["/hook"] = answer(b"thanks")
    endpoint_id = make(ann, url=f"{server.url}/hook").json()["endpoint_id"]
    sent = ann.post(f"{BASE}/endpoints/{endpoint_id}/test")
    assert (sent.status_code, sent.json()["state"]) == (202, "waiting")
    path = f"{BASE}/deliveries/{sent.json()['delivery_id']}"
    assert ann.post(f"{path}/replay").status_code == 409
    run_next()
    found = ann.get(path).json()
    assert (found["state"], found["attempts"][0]["answer"]) == ("delivered", "thanks")
    assert people.by_token("olga", Role.OPS).get(path).json()["attempts"][0]["answer"] is None
    assert ann.post(f"{path}/replay").json()["state"] == "waiting"
    run_next()
    assert len(server.requests) == 2


def test_the_log_is_filtered_and_paged(ann, server):
    endpoint_id = make(ann, url=f"{server.url}/hook").json()["endpoint_id"]
    for _ in range(3):
        ann.post(f"{BASE}/endpoints/{endpoint_id}/test")
    first = ann.get(f"{BASE}/deliveries", params={"endpoint_id": endpoint_id, "limit": 2}).json()
    rest = ann.get(f"{BASE}/deliveries", params={"limit": 2, "cursor": first["next"]}).json()
    ids = [d["delivery_id"] for d in first["items"] + rest["items"]]
    assert (len(first["items"]), len(set(ids)), rest["next"]) == (2, 3, None)
    assert ann.get(f"{BASE}/deliveries", params={"state": "failed"}).json()["items"] == []
    assert ann.get(f"{BASE}/deliveries", params={"cursor": "x"}).status_code == 422


def test_what_failed_is_repeated(ann):
    body = {"since": "2025-01-01T00:00:00+00:00"}
    answered = ann.post(f"{BASE}/deliveries/replay", json=body)
    assert (answered.status_code, answered.json()) == (202, {"n_deliveries": 0, "delivery_ids": []})
    assert ann.post(f"{BASE}/deliveries/replay", json={"since": "2025-01-01"}).status_code == 422
