"""The API calls page: forms, history, one call, and the way to a schedule."""

import json

import pytest

from engine import lifecycle
from engine.queries import tasks
from engine.records import db, users
from engine.services import schedules
from engine.words import Actor, Role
from tests.lib.http.hostile import answer
from tests.pages.conftest import counters, texts
from tests.task_kit import run_next

ADA = Actor("ada", Role.STAFF)


def fill(at, label, value):
    boxes = [*at.text_input, *at.text_area]
    next(box for box in boxes if box.label.startswith(label)).set_value(value)


def press(at, label):
    next(b for b in at.button if b.label == label).click().run()
    assert not at.exception
    return at


def calls(type_name="api_call"):
    return tasks.page(ADA, type_name=type_name).items


def test_counters_lead_to_the_calls_they_counted(browse):
    for name in ("ada", "bob"):
        lifecycle.submit(Actor(name, Role.OPS), "api_call", {"url": "https://api.example.com/"})
    lifecycle.submit(ADA, "report", {"report": "performance_summary", "params": {}})
    assert counters(browse(Role.STAFF, "api_calls"))["1 Queued"] == "state=Queued&type=API+call"
    assert counters(browse(Role.OPS, "api_calls"))["2 Queued"] == "state=Queued&type=API+call"


def test_nothing_was_called_yet(browse):
    at = browse(Role.STAFF, "api_calls")
    assert not at.exception
    assert "No calls yet" in texts(at)
    assert "Cache" not in texts(at)


def test_a_call_is_handed_over(browse):
    at = browse(Role.STAFF, "api_calls")
    fill(at, "Address", " https://api.example.com/v1 ")
    fill(at, "Parameters", "page = 2\n\nq=a=b")
    fill(at, "Headers", "Accept: text/plain\nAuthorization: Bearer topsecret")
    press(at, "Make the call")
    (task,) = calls()
    payload = json.loads(task.payload)
    assert (payload["url"], payload["params"]) == ("https://api.example.com/v1", {"page": "2", "q": "a=b"})
    assert payload["headers"] == {"Accept": "text/plain", "Authorization": "***"}
    assert at.toast[0].value.startswith("The call is made")
    assert "1 of 100 calls to" in texts(at)


@pytest.mark.parametrize(
    ("label", "value", "says"),
    [
        ("Address", "http://10.0.0.1/", "Address not allowed."),
        ("Headers", "no colon", "Line 1 has no"),
        ("Headers", "Host: b", "is set by Offload itself"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_enqueued(browse, label, value, says):
    at = browse(Role.STAFF, "api_calls")
    fill(at, "Address", "https://api.example.com/")
    fill(at, label, value)
    press(at, "Make the call")
    assert says in texts(at).replace("\\", "")
    assert not at.error, "what is wrong stands at its field"
    assert calls() == []


def test_several_lines_are_one_task(browse):
    at = browse(Role.STAFF, "api_calls", mode="Several at once")
    fill(at, "Addresses", "https://a.example.com/1\npost https://a.example.com/2\n\nhttp://10.0.0.1/")
    press(at, "Make the calls")
    (task,) = calls("call_bulk")
    rows = db.main().read("select method, url, state from call_items order by position")
    assert [tuple(row) for row in rows] == [
        ("GET", "https://a.example.com/1", "waiting"),
        ("POST", "https://a.example.com/2", "waiting"),
        ("GET", "http://10.0.0.1/", "refused"),
    ]
    shown = browse(Role.STAFF, "api_calls", id=task.id)
    assert not shown.exception
    assert list(shown.dataframe[0].value["State"]) == ["Waiting", "Waiting", "Refused"]


def test_a_bulk_that_has_ended_shows_its_items_and_becomes_a_schedule(browse, server):
    with db.main().write() as tx:
        users.add(tx, "ada", Role.STAFF)
    server.on["/a"] = answer(b"x")
    given = [{"url": f"{server.url}/a"}, {"url": f"{server.url}/b"}, {"url": "http://10.0.0.1/"}]
    task = lifecycle.submit(ADA, "call_bulk", {"calls": given}).task
    run_next()
    at = browse(Role.STAFF, "api_calls", id=task.id)
    assert "could not be shown" not in texts(at)
    assert list(at.dataframe[0].value["State"]) == ["Succeeded", "Failed", "Refused"]
    fill(at, "Name", "Hourly")
    press(at, "Create schedule")
    stored = json.loads(db.main().value("select payload from schedules where owner = 'ada'"))
    assert [call["url"] for call in stored["calls"]] == [f"{server.url}/a", f"{server.url}/b"]


def test_an_answer_is_shown_with_where_the_time_went(browse, server):
    server.on["/a"] = answer(b'{"items": [1, 2]}', Content_Type="application/json", X_Api_Key="topsecret")
    task = lifecycle.submit(ADA, "api_call", {"url": f"{server.url}/a"}).task
    run_next()
    at = browse(Role.STAFF, "api_calls", id=task.id)
    assert not at.exception
    assert json.loads(at.json[0].value) == {"items": [1, 2]}
    assert "most of it:" in texts(at)
    assert "topsecret" not in str(at)
    listed = browse(Role.STAFF, "api_calls")
    assert "badge[200]" in texts(listed)


def test_a_failed_call_shows_error_and_answer(browse, server):
    server.on["/a"] = answer(b"broken", "500 Broken")
    task = lifecycle.submit(ADA, "api_call", {"url": f"{server.url}/a", "retries": 0}).task
    run_next()
    at = browse(Role.STAFF, "api_calls", id=task.id)
    assert not at.exception
    assert "The server answered 500" in texts(at)
    assert at.code[0].value == "broken"


def test_a_call_becomes_a_schedule_with_its_sealed_secrets(browse):
    with db.main().write() as tx:
        users.add(tx, "ada", Role.STAFF)
    given = {"url": "https://api.example.com/", "headers": {"Authorization": "Bearer topsecret"}}
    task = lifecycle.submit(ADA, "api_call", given).task
    at = browse(Role.STAFF, "api_calls", id=task.id)
    fill(at, "Name", "Every morning")
    press(at, "Create schedule")
    row = db.main().one("select * from schedules where owner = 'ada'")
    assert (row["name"], row["type"]) == ("Every morning", "api_call")
    assert "topsecret" not in row["payload"]
    again = schedules.run_now(ADA, row["id"])
    from engine.services.calls.model import ApiCall, reveal

    assert (
        reveal("ada", ApiCall.model_validate_json(again.payload)).headers["Authorization"]
        == "Bearer topsecret"
    )


def test_a_full_history_leads_to_all_calls(browse):
    for number in range(15):
        lifecycle.submit(ADA, "api_call", {"url": f"https://api.example.com/{number}"})
    at = browse(Role.STAFF, "api_calls")
    assert "All of them, not only the latest 15" in [link.proto.label for link in at.get("page_link")]


def test_calls_of_others_are_not_shown(browse):
    task = lifecycle.submit(Actor("bob", Role.STAFF), "api_call", {"url": "https://b.example.com/"}).task
    assert "b.example.com" not in texts(browse(Role.STAFF, "api_calls"))
    assert "no such task" in texts(browse(Role.STAFF, "api_calls", id=task.id))
    assert "1 of" not in texts(browse(Role.STAFF, "api_calls"))
