"""The Schedules page: list, preview, new, batch, forecast, and one schedule."""

import json

import pytest

from engine.records import db, users
from engine.services import schedules
from engine.ui.schedules import board
from engine.words import Actor, Role
from tests.pages.conftest import counters, texts

GRACE = Actor("grace", Role.OPS)


@pytest.fixture(autouse=True)
def people(data_dir):
    with db.main().write() as tx:
        users.add(tx, "grace", Role.OPS)
        users.add(tx, "ada", Role.STAFF)


def add(actor=GRACE, **fields):
    return schedules.create(actor, {"name": "night", "cron": "0 2 * * *", "type": "probe", **fields})


def stored():
    found = db.main().read("select * from schedules where removed_at_ms is null and system = 0 order by name")
    return [dict(row) for row in found]


@pytest.mark.parametrize(("state", "name"), [("Active", "night"), ("Paused", "asleep")])
def test_a_counter_leads_to_the_schedules_it_counted(browse, state, name):
    add()
    schedules.pause(GRACE, add(name="asleep").id)
    at = browse(Role.OPS, "schedules", state=state)
    links = [link.proto.label for link in at.get("page_link") if "id=" in link.proto.query_string]
    assert links == [f"**{name}**"]
    assert set(counters(at)) == {"1 Active", "1 Paused"}


def test_a_counter_finds_more_than_what_was_searched_before(browse):
    add()
    at = browse(Role.OPS, "schedules", search="nowhere")
    assert "Nothing matches this filter" in texts(at)
    at.query_params = {"state": "Active"}  # as the counter's link does
    at.run()
    assert "**night**" in [link.proto.label for link in at.get("page_link")]
    assert at.text_input(key="search").value == ""


def test_a_state_without_schedules_says_so(browse):
    add()
    assert "All 1 schedules were searched" in texts(browse(Role.OPS, "schedules", state="Paused"))


def test_no_schedules_yet(browse):
    at = browse(Role.STAFF, "schedules")
    assert not at.exception
    assert "No schedules yet" in texts(at)


def test_the_list_shows_rule_plan_and_owner(browse):
    add(zone="Europe/Berlin")
    schedules.pause(GRACE, add(name="asleep").id)
    at = browse(Role.OPS, "schedules")
    assert not at.exception
    shown = texts(at)
    assert "At 02:00" in shown.replace("\\", "")
    assert "Europe/Berlin" in shown
    assert "Paused" in shown
    assert "has not run yet" in shown
    assert counters(at) == {"1 Active": "state=Active", "1 Paused": "state=Paused"}


def test_search_that_hides_everything_says_so(browse):
    add()
    at = browse(Role.OPS, "schedules", search="nothing")
    assert "Nothing matches this filter" in texts(at)


def test_a_long_list_has_pages(browse):
    for i in range(23):
        add(name=f"n{i:02}")
    at = browse(Role.OPS, "schedules")
    assert [b.label for b in at.button].count("Run now") == 20
    next(b for b in at.button if b.label == "More").click().run()
    assert [b.label for b in at.button].count("Run now") == 3
    next(b for b in at.button if b.label == "Back").click().run()
    assert [b.label for b in at.button].count("Run now") == 20


def test_pause_and_run_now_from_the_list(browse):
    schedule = add()
    at = browse(Role.OPS, "schedules")
    at.button(key=f"row-pause-{schedule.id}").click().run()
    assert stored()[0]["enabled"] == 0
    at.button(key=f"row-bolt-{schedule.id}").click().run()
    assert db.main().value("select schedule_id from tasks") == schedule.id
    assert any("in the queue" in toast.value for toast in at.toast)


def test_preview_follows_what_is_typed(browse):
    at = browse(Role.OPS, "schedules", view="New")
    assert not at.exception
    at.text_input(key="new-cron").set_value("*/15 9-17 * * 1-5").run()
    shown = texts(at).replace("\\", "")
    assert "Every 15 minutes, between 09:00 and 17:59, Monday through Friday" in shown
    assert "on 261 days" in shown or "on 260 days" in shown or "on 262 days" in shown
    assert len(at.dataframe[0].value) == 10


def test_preview_points_at_the_wrong_character(browse):
    at = browse(Role.OPS, "schedules", view="New")
    at.text_input(key="new-cron").set_value("0 0 * * mon#2").run()
    assert at.code[0].value == "0 0 * * mon#2\n           ^"
    assert any("not cron" in error.value for error in at.error)


def test_example_is_taken_over(browse):
    at = browse(Role.OPS, "schedules", view="New")
    at.button(key="new-Every 15 minutes").click().run()
    assert at.text_input(key="new-cron").value == "*/15 * * * *"


def test_a_new_schedule_with_a_json_payload(browse):
    at = browse(Role.OPS, "schedules", view="New")
    at.text_input(key="new-cron").set_value("0 3 * * *").run()
    at.selectbox(key="new-zone").set_value("Europe/Berlin").run()
    at.text_input(key="new-name").set_value("Nightly probe").run()
    at.selectbox(key="new-type").set_value("probe").run()
    at.text_area(key="new-probe-json").set_value('{"note": "hi"}')
    next(b for b in at.button if b.label == "Create schedule").click().run()
    assert not at.exception
    (row,) = stored()
    assert (row["name"], row["cron"], row["zone"], row["owner"]) == (
        "Nightly probe",
        "0 3 * * *",
        "Europe/Berlin",
        "grace",
    )
    assert json.loads(row["payload"])["note"] == "hi"
    assert at.query_params["id"] == row["id"]
    assert "Nightly probe" in texts(at)


@pytest.mark.parametrize(("payload", "said"), [("{x", "not JSON"), ('{"sleep_ms": -1}', "sleep")])
def test_a_wrong_payload_is_told_and_nothing_stored(browse, payload, said):
    at = browse(Role.OPS, "schedules", view="New")
    at.text_input(key="new-name").set_value("x").run()
    at.selectbox(key="new-type").set_value("probe").run()
    at.text_area(key="new-probe-json").set_value(payload)
    next(b for b in at.button if b.label == "Create schedule").click().run()
    assert any(said in error.value for error in at.error)
    assert stored() == []


def test_a_report_is_scheduled_with_its_own_form(browse):
    at = browse(Role.STAFF, "schedules", view="New")
    at.text_input(key="new-name").set_value("Morning report").run()
    at.selectbox(key="new-type").set_value("report").run()
    at.selectbox(key="new-report").set_value("performance_summary").run()
    next(b for b in at.button if b.label == "Create schedule").click().run()
    assert not at.exception
    (row,) = stored()
    assert (row["type"], json.loads(row["payload"])["report"]) == ("report", "performance_summary")


def test_a_batch_is_shown_row_by_row_and_stored_whole(browse):
    at = browse(Role.OPS, "schedules", view="Batch")
    at.text_area(key="batch-text").set_value("name,cron,type\na,@daily,probe\nb,99 * * * *,probe\n").run()
    assert not at.exception
    assert list(at.dataframe[0].value["problem"]) == ["", "cron: The minute goes from 0 to 59."]
    button = next(b for b in at.button if b.label == "Create 2 schedules")
    assert button.disabled
    at.text_area(key="batch-text").set_value("name,cron,type\na,@daily,probe\nb,@hourly,probe\n").run()
    next(b for b in at.button if b.label == "Create 2 schedules").click().run()
    assert [row["name"] for row in stored()] == ["a", "b"]


def test_the_forecast(browse):
    add(cron="@hourly")
    at = browse(Role.OPS, "schedules", view="Forecast")
    assert not at.exception
    assert "**168** tasks of 1 schedule " in texts(at)
    assert "No worker is running" in texts(at)


def test_one_schedule_with_everything_about_it(browse):
    schedule = add(note="for the night", overlap="skip", jitter_s=90)
    at = browse(Role.OPS, "schedules", id=schedule.id)
    assert not at.exception
    shown = texts(at).replace("\\", "")
    assert "for the night" in shown
    assert "skips while the run before goes on, starts spread over 1 min 30 s" in shown
    assert "grace · created" in shown
    assert {metric.label: metric.value for metric in at.metric}["Expected"] == "0"


def test_a_schedule_is_changed_on_its_page(browse):
    schedule = add()
    at = browse(Role.OPS, "schedules", id=schedule.id)
    at.toggle(key=f"change-{schedule.id}").set_value(True).run()
    assert at.text_input(key=f"edit-{schedule.id}-cron").value == "0 2 * * *"
    at.text_input(key=f"edit-{schedule.id}-cron").set_value("0 4 * * *").run()
    next(b for b in at.button if b.label == "Save changes").click().run()
    assert not at.exception
    assert stored()[0]["cron"] == "0 4 * * *"
    assert "0 2 * * * → 0 4 * * *" in texts(at).replace("\\", "")


def test_a_schedule_is_removed_after_asking(browse):
    schedule = add()
    schedules.run_now(GRACE, schedule.id)
    at = browse(Role.OPS, "schedules", id=schedule.id)
    at.button(key=f"remove-{schedule.id}").click().run()
    assert "will not run again" in texts(at)
    assert [b.label for b in at.button][-2:] == ["Keep", "Remove schedule"]
    assert stored() != []  # the dialog is a fragment, which AppTest does not run by itself
    assert board.remove(GRACE, schedule, "cancel") == "Removed night. 1 waiting task cancelled."
    assert stored() == []


def test_a_schedule_of_others_is_not_there(browse):
    at = browse(Role.STAFF, "schedules", id=add().id)
    assert not at.exception
    assert any("not yours" in error.value for error in at.error)


def test_a_missing_name_is_said_at_its_field(browse):
    at = browse(Role.STAFF, "schedules", view="New")
    next(b for b in at.button if b.label == "Create schedule").click().run()
    assert "Please fill this in." in texts(at).replace("\\", "")
    assert not at.error
