"""The Webhooks page: endpoints, their secrets, the log, one delivery."""

from datetime import datetime

from engine.queries import webhooks as reads
from engine.records import db
from engine.records import webhooks as records
from engine.services import webhooks
from engine.words import Actor, Role
from tests.lib.http.hostile import answer
from tests.pages.conftest import texts
from tests.task_kit import run_next

ADA = Actor("ada", Role.STAFF)
URL = "https://hooks.example.com/in"


def press(at, label):
    next(b for b in at.button if b.label == label).click().run()
    assert not at.exception
    return at


def test_no_endpoints_yet(browse):
    at = browse(Role.STAFF, "webhooks")
    assert not at.exception
    assert "No endpoints yet" in texts(at)


def test_a_new_endpoint_shows_its_secret_until_it_is_put_away(browse):
    at = browse(Role.STAFF, "webhooks")
    next(box for box in at.text_input if box.label == "Address").set_value(URL)
    press(at, "Add endpoint")
    (endpoint,) = reads.endpoints(ADA)
    assert endpoint.patterns == ["task.*"]
    assert at.code[0].value.startswith("whsec_")
    press(at, "I have copied it")
    assert not at.code
    assert "whsec_" not in texts(at)


def test_a_wrong_address_is_said(browse):
    at = browse(Role.STAFF, "webhooks")
    next(box for box in at.text_input if box.label == "Address").set_value("http://localhost/")
    press(at, "Add endpoint")
    assert "Address not allowed." in texts(at).replace("\\", "")
    assert not at.error
    assert reads.endpoints(ADA) == []


def test_an_endpoint_that_was_switched_off_says_why_and_is_switched_on(browse, server):
    server.on["/hook"] = answer(status="410 Gone")
    made = webhooks.create(ADA, {"url": f"{server.url}/hook"})
    webhooks.send_test(ADA, made.endpoint.id)
    run_next()
    at = browse(Role.STAFF, "webhooks")
    assert "it answered 410 Gone" in texts(at).replace("\\", "")
    press(at, "Switch on")
    assert reads.required(ADA, made.endpoint.id).active == 1


def test_a_reason_that_is_a_sentence_ends_with_one_full_stop(browse):
    endpoint = webhooks.create(ADA, {"url": URL}).endpoint
    with db.main().write() as tx:
        records.disable(tx, endpoint.id, "the last: The endpoint answered 500.", 1)
    (warning,) = browse(Role.STAFF, "webhooks").warning
    assert "answered 500. Nothing is sent" in warning.value.replace("\\", "")


def test_a_test_event_appears_in_the_log_and_is_replayed(browse, server):
    server.on["/hook"] = answer(b"thanks")
    webhooks.create(ADA, {"url": f"{server.url}/hook"})
    press(browse(Role.STAFF, "webhooks"), "Send test event")
    run_next()
    at = browse(Role.STAFF, "webhooks", view="Log")
    assert not at.exception
    assert list(at.dataframe[0].value["State"]) == ["Delivered"]
    delivery_id = reads.deliveries(ADA).items[0]["delivery_id"]
    one = browse(Role.STAFF, "webhooks", id=delivery_id)
    assert not one.exception
    assert one.code[0].value == "thanks"
    began = datetime.fromisoformat(reads.delivery(ADA, delivery_id)["attempts"][0]["started_at"])
    assert f"{began.day} {began:%b, %H:%M:%S} · " in texts(one), "the viewer's time, not ISO 8601"
    press(one, "Deliver again")
    assert reads.delivery(ADA, delivery_id)["state"] == "waiting"


def test_empty_logs_say_which_kind_of_empty(browse):
    assert "Nothing sent yet" in texts(browse(Role.STAFF, "webhooks", view="Log"))
    assert "Nothing matches this filter" in texts(browse(Role.STAFF, "webhooks", view="Log", state="Failed"))


def test_each_counter_of_the_last_day_leads_to_exactly_what_it_counted(browse, wall):
    made = webhooks.create(ADA, {"url": URL})
    webhooks.send_test(ADA, made.endpoint.id)
    wall.advance(86_400)
    webhooks.send_test(ADA, made.endpoint.id)
    wall.advance(1)
    at = browse(Role.STAFF, "webhooks", view="Log")
    assert len(at.dataframe[0].value) == 2
    assert "1" in [heading.value for heading in at.subheader], "of the last 24 hours"
    links = [link.proto.query_string for link in at.get("page_link")]
    assert "view=Log&state=Waiting&since=24+hours" in links
    day = browse(Role.STAFF, "webhooks", view="Log", state="Waiting", since="24 hours")
    assert len(day.dataframe[0].value) == 1
    wall.advance(86_400)
    shown = texts(browse(Role.STAFF, "webhooks", view="Log", since="24 hours"))
    assert "All deliveries of the last 24 hours were searched." in shown


def test_what_failed_is_made_again(browse, server, monkeypatch):
    from engine import settings

    monkeypatch.setenv("OFFLOAD_WEBHOOK_DELAYS_S", "")
    settings.get.cache_clear()
    server.on["/hook"] = answer(status="500 Broken")
    made = webhooks.create(ADA, {"url": f"{server.url}/hook"})
    webhooks.send_test(ADA, made.endpoint.id)
    run_next()
    at = browse(Role.STAFF, "webhooks", view="Log")
    at.button(key="replay-failed").click().run()
    assert not at.exception
    assert reads.deliveries(ADA).items[0]["state"] == "waiting"


def test_endpoints_of_others_are_for_ops_with_their_secrets_masked(browse):
    webhooks.create(Actor("bob", Role.STAFF), {"url": f"{URL}?token=topsecret"})
    assert "example" not in texts(browse(Role.STAFF, "webhooks"))
    shown = texts(browse(Role.OPS, "webhooks"))
    assert "example" in shown
    assert "topsecret" not in shown
