from dataclasses import replace

import pytest

from engine.records import db, findings
from engine.records.findings import Sighting

SEEN = Sighting("repeated_query", "shop", "http", "/orders", "f1", 1_000, 70, "5 times", "abc")


def see(**changes):
    with db.metrics().write() as tx:
        findings.see(tx, replace(SEEN, **changes))


def row():
    (only,) = db.metrics().read("select * from findings")
    return only


def set_state(state, **more):
    with db.metrics().write() as tx:
        assert findings.set_state(tx, SEEN.id, state, **more)


def test_the_same_trouble_is_one_finding(data_dir):
    see()
    see(at_ms=3_000, n=4, example="9 times", correlation_id="def")
    see(at_ms=2_000)
    assert (row()["n"], row()["first_at_ms"], row()["last_at_ms"], row()["cost_us"]) == (6, 1_000, 3_000, 210)
    assert row()["state"] == "open"


def test_another_place_is_another_finding(data_dir):
    see()
    see(name="/invoices")
    see(subject="f2")
    assert db.metrics().value("select count(*) from findings") == 3


def test_a_fixed_finding_opens_again_when_it_is_seen_again(data_dir):
    see()
    set_state("fixed", at_ms=5_000)
    see(at_ms=4_000)
    assert row()["state"] == "fixed"
    see(at_ms=6_000)
    assert (row()["state"], row()["n_reopened"]) == ("open", 1)


def test_muting_ends_by_itself(data_dir):
    see()
    set_state("muted", at_ms=2_000, muted_until_ms=5_000)
    see(at_ms=5_000)
    assert row()["state"] == "muted"
    see(at_ms=5_001)
    assert row()["state"] == "open"


@pytest.mark.parametrize("state", ["acknowledged", "muted"])
def test_known_trouble_stays_quiet(data_dir, state):
    see()
    set_state(state, at_ms=2_000)
    see(at_ms=9_000)
    assert row()["state"] == state


def test_owner_and_note_are_set_apart(data_dir):
    see()
    with db.metrics().write() as tx:
        findings.describe(tx, SEEN.id, owner="ann")
        findings.describe(tx, SEEN.id, note="join it")
        assert not findings.describe(tx, "missing", note="x")
        assert not findings.set_state(tx, "missing", "fixed", at_ms=1)
    assert (row()["owner"], row()["note"]) == ("ann", "join it")


def test_fixed_findings_are_forgotten_after_their_time(data_dir):
    see()
    with db.metrics().write() as tx:
        assert findings.trim(tx, 5_000, 10) == 0
        findings.set_state(tx, SEEN.id, "fixed", at_ms=2_000)
        assert findings.trim(tx, 5_000, 10) == 1


def test_beyond_the_cap_findings_are_not_told_apart(data_dir, monkeypatch):
    monkeypatch.setattr(findings, "MAX_FINDINGS", 2)
    for name in ("/a", "/b", "/c", "/d", "/a"):
        see(name=name)
    found = db.metrics().read("select name, subject, n from findings order by name")
    assert [tuple(row) for row in found] == [("/a", "f1", 2), ("/b", "f1", 1), ("_OTHER", "", 2)]
