import base64
import json

import pytest

from engine import lifecycle
from engine.records import db
from engine.words import Actor, Role

TASKS = "/api/tasks"
RAW = {"Content-Type": "application/json"}


@pytest.fixture
def olga(people):
    return people.by_token("olga", Role.OPS)


def submit(client, **body):
    return client.post(TASKS, json={"type": "probe", **body})


def n_tasks():
    return db.main().value("select count(*) from tasks")


def test_submit_answers_202_with_the_task(olga):
    answer = submit(olga, payload={"note": "hello"})
    assert answer.status_code == 202
    document = answer.json()
    assert (document["type"], document["state"], document["owner"]) == ("probe", "queued", "olga")
    assert document["correlation_id"] == answer.headers["x-correlation-id"]
    assert olga.get(document["links"]["status"]).json()["task_id"] == document["task_id"]


def test_submit_by_cookie_needs_the_same_origin(people):
    client = people.by_cookie("olga", Role.OPS)
    assert submit(client).status_code == 202
    del client.headers["origin"]
    assert submit(client).json()["error"]["code"] == "cross_origin"


def test_idempotency_key_gives_the_first_task_again(olga):
    first = submit(olga, idempotency_key="k", payload={"note": "a"})
    again = submit(olga, idempotency_key="k", payload={"note": "a"})
    other = submit(olga, idempotency_key="k", payload={"note": "b"})
    assert (again.status_code, again.json()["task_id"]) == (200, first.json()["task_id"])
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert n_tasks() == 1


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"type"}),
        ({"type": "nothing"}, {"type"}),
        ({"type": 5}, {"type"}),
        ({"type": "probe", "run_at": 1_800_000_000}, {"run_at"}),
        ({"type": "probe", "run_at": "1800000000"}, {"run_at"}),
        ({"type": "probe", "run_at": "2026-12-01T09:00:00"}, {"run_at"}),
        ({"type": "probe", "payload": []}, {"payload"}),
        ({"type": "probe", "payload": {"sleep_ms": "soon"}}, {"payload.sleep_ms"}),
        ({"type": "probe", "payload": {"unknown": 1}}, {"payload.unknown"}),
        ({"type": "probe", "more": 1}, {"more"}),
        ({"type": "probe", "priority": 101}, {"priority"}),
        ({"type": "probe", "priority": "high"}, {"priority"}),
        ({"type": "probe", "idempotency_key": ""}, {"idempotency_key"}),
        ({"type": "probe", "idempotency_key": "x" * 201}, {"idempotency_key"}),
        ({"type": "probe", "run_at": "2026-11-24T10:00:00"}, {"run_at"}),
        ({"type": "probe", "run_at": "tomorrow"}, {"run_at"}),
        ({"type": "probe", "run_at": "9999-12-31T23:59:59Z"}, {"run_at"}),
        ({"type": "probe", "payload": {"note": "\ud800"}}, set()),
    ],
)
def test_what_is_wrong_is_told_at_the_field_and_nothing_is_enqueued(olga, body, fields):
    answer = olga.post(TASKS, content=json.dumps(body), headers=RAW)
    assert answer.status_code == 422
    assert set(answer.json()["error"].get("fields", {})) == fields or not fields
    assert n_tasks() == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"type": "probe"', b"\xff", b"{" * 5000])
def test_bodies_that_are_no_object_are_refused(olga, body):
    assert olga.post(TASKS, content=body, headers=RAW).status_code in (400, 422)
    assert n_tasks() == 0


def test_payload_that_is_wrong_as_a_whole_is_named_as_it_is_sent(olga):
    task = {"type": "api_call", "payload": {"url": "https://a.com", "text": "a", "json": 1}}
    fields = olga.post(TASKS, json=task).json()["error"]["fields"]
    assert fields == {"payload": "give json or text, not both"}
    fields = olga.post("/api/calls", json=task["payload"]).json()["error"]["fields"]
    assert fields == {"body": "give json or text, not both"}


def test_body_of_another_kind_is_refused(olga):
    headers = {"Content-Type": "text/plain"}
    assert olga.post(TASKS, content=b'{"type": "probe"}', headers=headers).status_code == 415


def test_system_types_and_too_small_roles_are_403(people, olga):
    assert submit(people.by_token("sam")).status_code == 403
    assert submit(people.by_token("vera", Role.VIEWER)).status_code == 403
    assert n_tasks() == 0


def test_waiting_for_a_time_is_shown_as_scheduled(olga):
    document = submit(olga, run_at="2099-01-01T00:00:00+01:00")
    assert document.status_code == 422  # more than a year ahead
    soon = submit(olga, run_at="2020-01-01T00:00:00Z").json()
    assert soon["state"] == "queued"


def test_list_goes_through_pages_to_the_end(olga):
    ids = [submit(olga).json()["task_id"] for _ in range(5)]
    seen, cursor = [], None
    while True:
        page = olga.get(TASKS, params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [item["task_id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ids[::-1]


def test_list_filters_and_shows_staff_their_own(people, olga):
    submit(olga)
    lifecycle.cancel(Actor("olga", Role.OPS), submit(olga).json()["task_id"])
    assert len(olga.get(TASKS, params={"state": "cancelled"}).json()["items"]) == 1
    assert len(olga.get(TASKS, params={"state": ["cancelled", "queued"]}).json()["items"]) == 2
    assert len(olga.get(TASKS, params={"owner": "olga", "type": "probe"}).json()["items"]) == 2
    sam = people.by_token("sam")
    assert sam.get(TASKS).json() == {"items": [], "next": None}
    assert sam.get(TASKS, params={"owner": "olga"}).json()["items"] == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "state=sleeping", "cursor=%00", "cursor=!!", f"type={'x' * 65}"],
)
def test_wrong_list_parameters_are_told(olga, query):
    answer = olga.get(f"{TASKS}?{query}")
    assert answer.status_code == 422
    assert {path.partition(".")[0] for path in answer.json()["error"]["fields"]} == {query.partition("=")[0]}


def test_cursor_of_absurd_size_is_an_empty_or_full_list_not_a_failure(olga):
    for number in (10**30, -(10**30), 0):
        cursor = base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")
        assert olga.get(TASKS, params={"cursor": cursor}).status_code == 200


def test_retry_runs_an_ended_task_again_under_its_id(olga):
    task_id = submit(olga).json()["task_id"]
    path = f"{TASKS}/{task_id}/retry"
    assert olga.post(path).status_code == 409
    lifecycle.cancel(Actor("olga", Role.OPS), task_id)
    again = olga.post(path)
    assert (again.status_code, again.json()["task_id"], again.json()["state"]) == (202, task_id, "queued")


def test_retry_with_an_edited_payload_is_a_new_task(olga):
    task_id = submit(olga).json()["task_id"]
    lifecycle.cancel(Actor("olga", Role.OPS), task_id)
    edited = olga.post(f"{TASKS}/{task_id}/retry", json={"payload": {"note": "edited"}}).json()
    assert edited["task_id"] != task_id
    assert edited["parent_id"] == task_id
    assert olga.post(f"{TASKS}/{task_id}/retry", json={"other": 1}).status_code == 422


def test_edited_payload_that_is_wrong_is_told_where_it_was_sent(olga):
    task_id = submit(olga).json()["task_id"]
    lifecycle.cancel(Actor("olga", Role.OPS), task_id)
    answer = olga.post(f"{TASKS}/{task_id}/retry", json={"payload": {"sleep_ms": -1}})
    assert (answer.status_code, set(answer.json()["error"]["fields"])) == (422, {"payload.sleep_ms"})


@pytest.mark.parametrize(
    "body", [b'{"type": "\xff"}', b"[" * 100_000, b'{"priority": ' + b"9" * 5_000 + b"}"]
)
def test_bodies_the_parser_trips_over_are_malformed_json(olga, body):
    answer = olga.post(TASKS, content=body, headers=RAW)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_json")


def test_result_is_there_after_success_only(people, olga):
    task_id = submit(olga).json()["task_id"]
    path = f"{TASKS}/{task_id}/result"
    early = olga.get(path)
    assert (early.status_code, early.json()["error"]["code"]) == (409, "not_ready")
    with db.main().write() as tx:
        tx.run("update tasks set state = 'succeeded', result = :result", result='{"rows": 3}')
    assert olga.get(path).json() == {"rows": 3}
    assert people.by_token("sam").get(path).status_code == 404


def test_every_submit_leaves_an_audit_row(olga):
    task_id = submit(olga).json()["task_id"]
    row = db.main().one("select * from audit where action = 'task.submit'")
    assert (row["actor"], row["via"], row["object"]) == ("olga", "token", task_id)
