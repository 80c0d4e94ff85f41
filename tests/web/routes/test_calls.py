import pytest

from engine import settings as door
from tests.lib.http.hostile import answer
from tests.task_kit import run_next


@pytest.fixture
def ann(people):
    return people.by_token("ann")


def test_a_call_is_handed_over_and_its_result_read(ann, server):
    server.on["/a"] = answer(b'{"a": 1}', Content_Type="application/json")
    given = {"method": "post", "url": f"{server.url}/a", "json": {"b": 2}, "params": {"c": 3}, "retries": 0}
    accepted = ann.post("/api/calls", json=given)
    assert accepted.status_code == 202
    assert accepted.json()["type"] == "api_call"
    run_next()
    found = ann.get(f"/api/tasks/{accepted.json()['task_id']}/result").json()
    assert (found["status"], found["json"]) == (200, {"a": 1})
    assert b"POST /a?c=3" in server.requests[0]
    assert server.requests[0].endswith(b'{"b":2}')
    (line,) = ann.get("/api/calls").json()["items"]
    assert (line["method"], line["status"], line["state"]) == ("POST", 200, "succeeded")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"url": "http://169.254.169.254/latest/"}, "url"),
        ({"url": "https://a.example.com/", "headers": {"Host": "b"}}, "headers"),
        ({"url": "https://a.example.com/", "method": "BREW"}, "method"),
        ({"url": "https://a.example.com/", "webhooks": [{"url": "http://localhost/"}]}, "webhooks.0.url"),
        ({"url": "https://a.example.com/", "colour": "red"}, "colour"),
        ({}, "url"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_enqueued(ann, given, field):
    refused = ann.post("/api/calls", json=given)
    assert refused.status_code == 422
    assert list(refused.json()["error"]["fields"]) == [field]
    assert ann.get("/api/tasks").json()["items"] == []


def test_over_the_limit_is_429_with_the_time_it_opens(ann, monkeypatch):
    monkeypatch.setenv("OFFLOAD_CALLS_PER_HOUR", "2")
    door.get.cache_clear()
    url = "https://api.example.com/v1"
    for expected in (202, 202, 429):
        last = ann.post("/api/calls", json={"url": url})
        assert last.status_code == expected
    assert 3500 < int(last.headers["retry-after"]) <= 3600
    assert last.json()["error"]["retry_at"].endswith("Z")
    assert len(ann.get("/api/tasks").json()["items"]) == 2
    state = ann.get("/api/calls/limit", params={"url": f"{url}?other=query"}).json()
    assert (state["used"], state["limit"], state["opens_at"]) == (2, 2, last.json()["error"]["retry_at"])


def test_the_limit_of_a_forbidden_address_is_not_told(ann):
    assert ann.get("/api/calls/limit", params={"url": "http://10.0.0.1/"}).status_code == 422


def test_a_bulk_lists_its_items_and_those_refused(ann, server):
    server.on["/a"] = answer(b"x")
    calls = [{"url": f"{server.url}/a"}, {"url": "http://10.0.0.1/"}]
    accepted = ann.post("/api/calls/bulk", json={"calls": calls})
    assert accepted.status_code == 202
    items = accepted.json()["items"]
    assert [item["state"] for item in items] == ["waiting", "refused"]
    assert items[1]["error"] == {"code": "invalid_input", "message": "url: address not allowed"}
    run_next()
    task_id = accepted.json()["task_id"]
    found = ann.get(f"/api/calls/{task_id}/items").json()["items"]
    assert [item["state"] for item in found] == ["succeeded", "refused"]


def test_51_calls_are_a_clear_error(ann):
    refused = ann.post("/api/calls/bulk", json={"calls": [{"url": "https://a.example.com/"}] * 51})
    assert refused.status_code == 422
    assert refused.json()["error"]["fields"] == {"calls": "at most 50 calls in one bulk; these are 51"}


def test_items_of_others_are_not_found(ann, people):
    mine = ann.post("/api/calls/bulk", json={"calls": [{"url": "https://a.example.com/"}]}).json()["task_id"]
    assert people.by_token("bob").get(f"/api/calls/{mine}/items").status_code == 404


def test_the_cache_is_shown_and_emptied(ann, server):
    server.on["/a"] = answer(b"x")
    for _ in range(2):
        ann.post("/api/calls", json={"url": f"{server.url}/a", "cache_ttl_s": 60})
        run_next()
    found = ann.get("/api/calls/cache").json()
    assert (found["n_hits"], found["n_misses"], found["n_kept"]) == (1, 1, 1)
    assert ann.delete("/api/calls/cache").status_code == 204
    assert ann.get("/api/calls/cache").json()["n_kept"] == 0


def test_a_webhook_of_a_task_shows_its_secret_once(ann, server):
    given = {
        "url": "https://a.example.com/",
        "webhooks": [{"url": f"{server.url}/hook"}],
        "idempotency_key": "k",
    }
    first = ann.post("/api/calls", json=given)
    assert first.json()["webhooks"][0]["secret"].startswith("whsec_")
    again = ann.post("/api/calls", json=given)
    assert again.status_code == 200
    assert "whsec_" not in again.text
    assert "whsec_" not in ann.get(first.json()["links"]["status"]).text
