"""The Overview, from the entry script."""

import pytest

from engine import clock, lifecycle
from engine.records import alerts as records
from engine.records import db, findings
from engine.records.findings import Sighting
from engine.services import alerts
from engine.ui import shared
from engine.words import Actor, Role
from tests.pages.conftest import texts

GRACE = Actor("grace", Role.OPS)


def test_nobody_sees_a_way_to_sign_in_and_nothing_else(browse):
    at = browse(None)
    assert not at.exception
    assert [title.value for title in at.title] == ["Please sign in"]
    assert not at.get("page_link")


@pytest.mark.parametrize("role", list(Role))
def test_an_empty_installation_says_what_to_do(browse, role):
    at = browse(role)
    assert not at.exception
    assert [title.value for title in at.title] == ["Overview"]
    assert "No worker is running" in texts(at)
    assert "No task has ended in the last 24 hours" in texts(at)


def test_counters_link_to_the_rows_they_counted(browse):
    lifecycle.submit(GRACE, "probe", {"note": "first"})
    at = browse(Role.OPS)
    numbers = [element.value for element in at.subheader if element.value.isdecimal()]
    assert numbers == ["0", "1", "0", "0", "0", "0"]
    links = [link.proto for link in at.get("page_link")]
    assert [link.query_string for link in links[:2]] == ["state=Running", "state=Queued"]


def test_a_pause_is_told_with_who_and_what_goes_on(browse):
    lifecycle.pause(GRACE)
    at = browse(Role.VIEWER)
    assert any("was paused by grace" in w.value and "goes on" in w.value for w in at.warning)


def test_a_database_that_fails_becomes_a_sentence(browse, monkeypatch):
    def fail(*_args, **_options):
        raise db.LockedOrFull("database or disk is full")

    at = browse(Role.OPS)
    monkeypatch.setattr("engine.queries.overview.ended", fail)
    shared.forget()
    at.run()
    assert not at.exception
    assert "Stale" in texts(at), "the last data stay on the screen, marked"


def test_an_unforeseen_error_shows_an_id_and_no_traceback(browse, monkeypatch):
    monkeypatch.setattr("engine.queries.workers.listing", lambda **_: 1 / 0)
    at = browse(Role.OPS)
    assert not at.exception
    (error,) = at.error
    assert "the id `" in error.value
    assert "ZeroDivision" not in error.value


def test_nothing_on_the_landing_page_changes_anything(browse):
    assert not browse(Role.ADMIN).button


def test_alerts_and_slower_routes_are_told(browse):
    with db.metrics().write() as tx:
        rule = alerts.DEFAULTS[0]
        records.open_alert(tx, rule, value=900, message="p95 of requests is 900 ms", at_ms=clock.now_ms())
        seen = Sighting("regression", "shop", "http", "/orders", "GET", clock.now_ms(), 0, "p95 rose", "")
        findings.see(tx, seen)
    at = browse(Role.VIEWER)
    told = "\n".join(w.value for w in at.warning).replace("\\", "")
    assert "p95 of requests is 900 ms" in told
    assert "/orders became slower: p95 rose" in told
    links = {link.proto.label: link.proto for link in at.get("page_link")}
    assert links["See the alerts"].page.endswith("alerts")
    assert links["See the findings"].query_string == "view=Findings"
