"""The Tasks page: the list, and one task."""

import pytest

from engine import lifecycle, registry
from engine.words import Actor, Role, TaskState
from tests.pages.conftest import counters, texts

GRACE, ADA = Actor("grace", Role.OPS), Actor("ada", Role.OPS)


def test_no_tasks_yet(browse):
    assert "No tasks yet" in texts(browse(Role.STAFF, "tasks"))


def test_who_may_order_nothing_is_not_told_to(browse):
    shown = texts(browse(Role.VIEWER, "tasks"))
    assert "No tasks yet" in shown
    assert "Order a report" not in shown


def test_the_list_shows_what_the_viewer_may_see(browse):
    lifecycle.submit(ADA, "probe", {"note": "for ada"})
    lifecycle.submit(GRACE, "probe", {"note": "for grace"})
    (mine,) = browse(Role.STAFF, "tasks").dataframe
    assert list(mine.value["what"]) == ["Probe: for ada"]
    assert "owner" not in mine.value.columns
    (all_,) = browse(Role.OPS, "tasks").dataframe
    assert list(all_.value["what"]) == ["Probe: for grace", "Probe: for ada"]


def test_counters_lead_to_the_rows_they_counted(browse):
    lifecycle.submit(ADA, "probe", {})
    for note in ("first", "second"):
        lifecycle.submit(GRACE, "probe", {"note": note})
    shown = counters(browse(Role.OPS, "tasks", state="Failed"))
    assert shown["3 Queued"] == "state=Queued"
    assert "0 Failed" in shown
    assert len(shown) == 6
    (listed,) = browse(Role.OPS, "tasks", state="Queued").dataframe
    assert len(listed.value) == 3
    assert "1 Queued" in counters(browse(Role.STAFF, "tasks"))


def test_a_link_with_a_filter_leaves_no_other_filter_in_force(browse):
    lifecycle.submit(GRACE, "probe", {})
    at = browse(Role.OPS, "tasks", type="Probe", owner="nobody")
    assert "Nothing matches this filter" in texts(at)
    at.query_params = {"state": "Queued"}  # as a link does
    at.run()
    assert len(at.dataframe[0].value) == 1
    assert (at.text_input(key="owner").value, at.selectbox(key="type").value) == ("", None)


def test_the_filter_in_the_address_is_the_filter_of_the_list(browse):
    lifecycle.cancel(GRACE, lifecycle.submit(GRACE, "probe", {"note": "stopped"}).task.id)
    lifecycle.submit(GRACE, "probe", {"note": "waits"})
    at = browse(Role.OPS, "tasks", state="Cancelled")
    assert list(at.dataframe[0].value["what"]) == ["Probe: stopped"]
    nothing = browse(Role.OPS, "tasks", state="Failed")
    assert "Nothing matches this filter" in texts(nothing)


def test_one_task_tells_why_it_waits_and_what_happened(browse):
    task = lifecycle.submit(GRACE, "probe", {"note": "wait for me"}).task
    at = browse(Role.OPS, "tasks", id=task.id)
    assert not at.exception
    assert "Probe\\: wait for me" in texts(at)
    assert "No worker" in texts(at)
    assert task.id in texts(at)
    assert ":primary-badge[:material/hourglass_top: Queued]" in texts(at)


def test_a_stalled_task_says_what_comes_next(browse, wall):
    task = lifecycle.submit(GRACE, "probe", {}).task
    lifecycle.claim("w1", registry.all_types())
    wall.advance(30)
    page = texts(browse(Role.OPS, "tasks", id=task.id))
    assert "Possibly aborted\\: no heartbeat for 30 s; goes back to the queue at 12\\:00\\:45 UTC" in page


def test_cancel_and_run_again(browse):
    task = lifecycle.submit(GRACE, "probe", {"note": "x"}).task
    at = browse(Role.OPS, "tasks", id=task.id)
    at.button(key=f"detail-cancel-{task.id}").click().run()
    assert [toast.value for toast in at.toast] == ["Cancelled before it began."]
    assert ":gray-badge[:material/cancel: Cancelled]" in texts(at)
    at.button(key=f"detail-retry-{task.id}").click().run()
    assert ":primary-badge[:material/hourglass_top: Queued]" in texts(at)


@pytest.mark.parametrize(("role", "allowed"), [(Role.VIEWER, False), (Role.STAFF, True)])
def test_buttons_follow_the_gate_of_the_lifecycle(browse, role, allowed):
    names = {Role.VIEWER: "vera", Role.STAFF: "ada"}
    task = lifecycle.submit(Actor(names[role], Role.OPS), "probe", {}).task
    at = browse(role, "tasks", id=task.id)
    assert lifecycle.may_cancel(Actor(names[role], role), task) is allowed
    assert any(button.label == "Cancel" for button in at.button) is allowed


def test_a_task_of_somebody_else_does_not_exist(browse):
    task = lifecycle.submit(GRACE, "probe", {"note": "secret"}).task
    at = browse(Role.STAFF, "tasks", id=task.id)
    assert [error.value for error in at.error] == ["There is no such task, or it is not yours\\."]
    assert "secret" not in texts(at)


def test_text_of_a_payload_is_never_markdown(browse):
    task = lifecycle.submit(GRACE, "probe", {"note": "![x](http://evil.example/p.png)"}).task
    assert "![x](http" not in texts(browse(Role.OPS, "tasks", id=task.id))


def test_every_state_can_be_filtered(browse):
    at = browse(Role.OPS, "tasks")
    assert len(at.pills[0].options if at.pills else at.button_group[0].options) == len(TaskState)
