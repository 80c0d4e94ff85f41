"""The alerts subcommand."""

import json

import pytest
from click.testing import CliRunner

from engine.cli.alerts import command
from engine.errors import InvalidInput
from engine.records import db
from engine.services import alerts
from engine.services.alerts import events


def run(*words):
    done = CliRunner().invoke(command, [*words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def ringing(data_dir):
    """Two alerts, the first one cleared, of the rules an installation begins with."""
    alerts.beat(1_790_000_000_000)
    with db.metrics().write() as tx:
        for rule, at_ms in ((alerts.DEFAULTS[0], 0), (alerts.DEFAULTS[1], 1_000)):
            events.opened(tx, rule, 9, f"{rule.title} now", at_ms)
        events.cleared(tx, alerts.DEFAULTS[0], "good", "well", 60_000)


def test_an_installation_without_alerts_says_so(data_dir):
    assert run("list") == "Nothing needs attention.\n"
    assert run("list", "--state", "history") == "No alert yet.\n"
    assert run("rules").startswith("No rules")


def test_alerts_are_listed(ringing):
    listed = json.loads(run("list", "--format", "json"))
    assert [item["rule_id"] for item in listed["items"]] == ["failing-requests"]
    past = json.loads(run("list", "--state", "history", "--limit", "1", "--format", "json"))
    rest = json.loads(run("list", "--state", "history", "--cursor", past["next"], "--format", "json"))
    assert [item["alert_id"] for item in past["items"] + rest["items"]] == [2, 1]
    assert "More: --cursor 2" in run("list", "--state", "history", "--limit", "1")
    assert "1970-01-01T00:01:00.000Z" in run("list", "--state", "history", "--rule", "slow-requests")
    with pytest.raises(InvalidInput):
        run("list", "--cursor", "x")


def test_rules_are_listed_with_where_they_stand(ringing):
    items = json.loads(run("rules", "--format", "json"))["items"]
    assert {item["rule_id"] for item in items} == {rule.id for rule in alerts.DEFAULTS}
    first = run("rules").splitlines()[1].split()
    assert first[:2] == ["failing-requests", "alert"]
    assert "p95 of requests above 2,000 ms, 3 times in a row" in run("rules")
