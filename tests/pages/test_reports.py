"""The Reports page: the form of each report, its messages, and the viewer's own reports."""

import json

import pytest

from engine import clock, lifecycle
from engine.queries import tasks
from engine.registry import get
from engine.words import Actor, Outcome, Role, TaskState
from tests.pages.conftest import counters, texts

ADA = Actor("ada", Role.STAFF)


def order(at):
    next(b for b in at.button if b.label == "Order report").click().run()
    assert not at.exception
    return at


def reports_of(actor):
    return tasks.page(actor, type_name="report").items


def test_ordering_hands_over_and_returns_at_once(browse):
    at = order(browse(Role.STAFF, "reports"))
    (task,) = reports_of(ADA)
    assert json.loads(task.payload)["report"] == "performance_summary"
    assert (task.owner, task.state) == ("ada", TaskState.QUEUED)
    assert "**Performance summary**" in texts(at)
    assert at.toast[0].value.startswith("Ordered.")


@pytest.mark.parametrize(
    ("role", "name", "query"), [(Role.STAFF, "ada", ""), (Role.OPS, "grace", "&owner=grace")]
)
def test_counters_lead_to_ones_own_reports(browse, role, name, query):
    wanted = {"report": "performance_summary", "params": {}}
    for owner in (Actor(name, Role.OPS), Actor("bob", Role.OPS)):
        lifecycle.submit(owner, "report", wanted)
    lifecycle.submit(Actor(name, Role.OPS), "probe", {})
    shown = counters(browse(role, "reports"))
    assert shown == {
        f"{n} {word}": f"state={word}&type=Report{query}"
        for n, word in ((0, "Running"), (1, "Queued"), (0, "Succeeded"), (0, "Failed"))
    }


def test_each_report_has_a_form_made_of_its_model(browse):
    at = browse(Role.STAFF, "reports")
    for name in at.button_group(key="report").options:
        at.button_group(key="report").set_value(name)
        at.run()
        assert not at.exception


def test_messages_stand_at_their_fields_and_nothing_is_enqueued(browse):
    at = browse(Role.STAFF, "reports", report="Table from a file")
    order(at)
    assert texts(at).count("Please fill this in") == 2, "the file and the title"
    assert not reports_of(ADA)


def test_a_period_that_ends_before_it_begins_is_refused_at_the_field(browse):
    at = browse(Role.STAFF, "reports")
    inputs = {i.label: i for i in at.datetime_input}
    now = clock.now().replace(tzinfo=None, second=0, microsecond=0)
    inputs["From (optional)"].set_value(now.replace(year=now.year - 1))
    inputs["Until (optional)"].set_value(now.replace(year=now.year - 2))
    order(at)
    assert "Must be after the begin of the period" in texts(at)
    assert not reports_of(ADA)


def test_what_was_typed_stays_when_it_is_refused(browse):
    at = browse(Role.STAFF, "reports", report="Table from a file")
    title = next(i for i in at.text_input if i.label == "Title")
    title.set_value("Sales 2025")
    order(at)
    assert next(i for i in at.text_input if i.label == "Title").value == "Sales 2025"


@pytest.mark.parametrize(("expires", "text"), [("2999-01-01T00:00:00.000Z", None), ("2020", "not kept")])
def test_a_finished_report_links_to_the_route_that_checks_its_owner(browse, expires, text):
    task = lifecycle.submit(ADA, "report", {"report": "performance_summary"}).task
    claimed = lifecycle.claim("w", [get("report")])
    ending = lifecycle.Ending(Outcome.SUCCEEDED, result=json.dumps({"expires_at": expires}))
    lifecycle.settle(claimed, ending)
    at = browse(Role.STAFF, "reports")
    links = [link.proto.url for link in at.get("link_button")]
    assert links == ([] if text else [f"/api/reports/{task.id}/pdf"])
    assert text is None or text in texts(at)


def test_again_submits_the_same_as_a_new_task_that_names_the_first(browse):
    first = lifecycle.submit(ADA, "report", {"report": "performance_summary"}).task
    claimed = lifecycle.claim("w", [get("report")])
    lifecycle.settle(claimed, lifecycle.Ending(Outcome.SUCCEEDED, result="{}"))
    at = browse(Role.STAFF, "reports")
    at.button(key=f"mine-again-{first.id}").click().run()
    second = reports_of(ADA)[0]
    assert (second.parent_id, second.payload) == (first.id, first.payload)


def test_a_viewer_has_no_reports_page(browse):
    with pytest.raises(ValueError, match="reports"):
        browse(Role.VIEWER, "reports")
