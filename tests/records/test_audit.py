"""Acts whose rows lie in another file than the audit trail, which claims only what is true."""

import json
import multiprocessing
import os

import pytest

from engine.queries import access
from engine.records import audit, db
from engine.words import Actor, Role

fork = multiprocessing.get_context("fork")
OLGA = Actor("olga", Role.OPS)
DEPLOY = "insert into deploys (at_ms, service, version, note) values (1, 'shop', '1', '')"


def trail():
    return [(row.action, row.object, row.detail) for row in access.audit()]


def n_deploys():
    return db.metrics().value("select count(*) from deploys")


def act(*, die_after=None, fail=False):
    with audit.around(OLGA, "deploy.mark", "shop 1", {"wanted": 1}) as found:
        if die_after == "audit":
            os._exit(0)
        with db.metrics().write() as tx:
            tx.run(DEPLOY)
            if fail:
                raise db.LockedOrFull("database or disk is full")
        if die_after == "act":
            os._exit(0)
        found["n"] = 1


def test_an_act_is_recorded_with_what_was_wanted_and_what_came_of_it(data_dir):
    act()
    assert trail() == [("deploy.mark", "shop 1", {"wanted": 1, "n": 1})]


@pytest.mark.parametrize(("die_after", "n"), [("audit", 0), ("act", 1)])
def test_a_death_within_an_act_leaves_a_row_that_says_begun(data_dir, die_after, n):
    child = fork.Process(target=act, kwargs={"die_after": die_after})
    child.start()
    child.join(60)
    assert trail() == [("deploy.mark", "shop 1", {"wanted": 1, "outcome": "begun"})]
    assert n_deploys() == n


def test_an_act_that_fails_leaves_no_row(data_dir):
    with pytest.raises(db.LockedOrFull):
        act(fail=True)
    assert (trail(), n_deploys()) == ([], 0)


def test_without_its_row_there_is_no_act(data_dir, monkeypatch):
    def full(*_arguments):
        raise db.LockedOrFull("database or disk is full")

    monkeypatch.setattr(audit, "add", full)
    with pytest.raises(db.LockedOrFull):
        act()
    assert n_deploys() == 0


def test_an_act_whose_end_cannot_be_written_is_done_and_its_row_says_begun(data_dir, monkeypatch):
    def full(self, sql, /, **_params):
        raise db.LockedOrFull("database or disk is full")

    with monkeypatch.context() as patch, audit.around(OLGA, "deploy.mark", "shop 1"):
        patch.setattr(db.Transaction, "run", full)
    assert json.loads(db.main().value("select detail from audit")) == audit.BEGUN
