"""Alerts, from the entry script."""

from dataclasses import replace

import pytest

from engine import clock
from engine.queries import alerts as reads
from engine.records import alerts as records
from engine.records import db
from engine.records.alerts import Rule
from engine.services import alerts
from engine.words import Actor, Role
from tests.pages.conftest import counters, texts


@pytest.fixture
def ringing(data_dir):
    """One open alert among the rules an installation begins with."""
    alerts.beat(clock.now_ms())
    with db.metrics().write() as tx:
        rule = next(rule for rule in alerts.DEFAULTS if rule.id == "disk")
        records.open_alert(tx, rule, value=95, message="Disk used is 95 %", at_ms=clock.now_ms())


def test_nothing_to_do_is_good_news(browse):
    at = browse(Role.VIEWER, "alerts")
    assert not at.exception
    assert "Nothing needs attention" in texts(at)
    assert "No alert yet" in texts(at)


def test_an_alert_is_shown_with_its_numbers_and_looked_after(browse, ringing):
    at = browse(Role.STAFF, "alerts")
    assert "Disk used is 95 %" in texts(at)
    next(button for button in at.button if button.label == "I look after it").click().run()
    assert reads.opened()[0].acknowledged_by == "ada"
    assert "looks after it" in texts(at)


def test_a_viewer_changes_nothing(browse, ringing):
    at = browse(Role.VIEWER, "alerts")
    assert not at.exception
    assert not at.button
    assert not at.number_input


def test_the_history_says_why_an_alert_cleared(browse, ringing):
    alerts.remove(Actor("olga", Role.OPS), "disk")
    at = browse(Role.VIEWER, "alerts")
    assert list(at.dataframe[0].value["Why it cleared"]) == ["Rule removed"]


def test_a_rule_of_a_newer_version_is_shown(browse, ringing):
    with db.metrics().write() as tx:
        records.save(tx, Rule("tide", "High water", "tide", 20_000), at_ms=1, by="ann")
    at = browse(Role.OPS, "alerts")
    assert not at.exception
    assert "Unknown measure tide above 20,000" in texts(at)


def test_ops_change_mute_and_switch_off_a_rule(browse, ringing):
    at = browse(Role.OPS, "alerts")
    at.number_input(key="at-slow-requests").set_value(750.0).run()
    at.button(key="Save-slow-requests").click().run()
    at.button(key="Mute 8 h-disk").click().run()
    at.button(key="Switch off-stalled").click().run()
    standing = {s.rule.id: s for s in reads.standings()}
    assert standing["slow-requests"].rule.threshold == 750
    assert standing["disk"].muted_until_ms > clock.now_ms()
    assert not standing["stalled"].rule.enabled


def test_rules_that_are_evaluated_late_are_spoken_of(browse, ringing):
    assert not browse(Role.VIEWER, "alerts").warning
    with db.metrics().write() as tx:
        tx.run("update alert_rules set tried_at_ms = 1, changed_at_ms = :at", at=clock.now_ms() - 330_000)
    (warning,) = browse(Role.VIEWER, "alerts").warning
    assert warning.value.startswith("9 rules evaluated late, overdue by up to 5 min")


def test_thresholds_and_values_have_their_unit_and_separators(browse, ringing):
    with db.metrics().write() as tx:
        tx.run("update alert_rules set value = 12345.6, n = 20 where id = 'slow-requests'")
    at = browse(Role.OPS, "alerts")
    labels = {box.key: (box.label, box.value) for box in at.number_input}
    assert labels["at-slow-requests"] == ("Alarm above (ms)", 2_000)
    assert labels["at-stalled"] == ("Alarm above", 0)
    assert labels["at-failing-tasks"] == ("Alarm above (%)", 20)
    assert "now 12,346 ms" in texts(at)
    assert any("alarm above 2,000 ms" in box.label for box in at.expander)
    at.button(key="Save-slow-requests").click().run()
    assert [toast.value for toast in at.toast] == ["Requests are slow: alarm above 2,000 ms."]


def test_counters_lead_to_the_rules_they_counted(browse, ringing):
    olga = Actor("olga", Role.OPS)
    alerts.mute(olga, "stalled", clock.now_ms() + 3_600_000)
    alerts.mute(olga, "disk", clock.now_ms() + 3_600_000)  # its alert is open: that counts more
    rule = next(rule for rule in alerts.DEFAULTS if rule.id == "missed")
    alerts.save(olga, replace(rule, enabled=False))
    shown = counters(browse(Role.VIEWER, "alerts"))
    assert shown == {
        "1 Alert": "state=Alert",
        "1 Muted": "state=Muted",
        "6 Good": "state=Good",
        "1 Off": "state=Off",
    }
    for state, n in (("Alert", 1), ("Muted", 1), ("Good", 6), ("Off", 1)):
        assert len(browse(Role.VIEWER, "alerts", state=state).expander) == n


def test_a_rule_nobody_hears_says_so_in_words(browse, ringing):
    olga = Actor("olga", Role.OPS)
    alerts.mute(olga, "slow-requests", clock.now_ms() + 3_600_000)
    rule = next(rule for rule in alerts.DEFAULTS if rule.id == "missed")
    alerts.save(olga, replace(rule, enabled=False))
    labels = [box.label.partition("] ")[2] for box in browse(Role.VIEWER, "alerts").expander]
    assert "Requests are slow · alarm above 2,000 ms · muted" in labels
    assert "Schedules were missed · alarm above 0 · off" in labels
    assert "Tasks fail · alarm above 20 %" in labels


def test_a_state_without_rules_says_so(browse, ringing):
    assert "All 9 rules were searched" in texts(browse(Role.VIEWER, "alerts", state="Muted"))
