import asyncio
import sqlite3

import pytest

from engine import lifecycle, tasks
from engine.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from engine.records import audit, db
from engine.web import handover
from engine.words import Actor, Role

OLGA = Actor("olga", Role.OPS, "token")


@pytest.fixture
def types(data_dir):
    tasks.load()


def hand_over(*orders):
    """Submit all at once; return results and errors in order."""

    async def together():
        return await asyncio.gather(*[handover.submit(*order) for order in orders], return_exceptions=True)

    return asyncio.run(together())


def n_tasks():
    return db.main().value("select count(*) from tasks")


def test_each_of_a_crowd_gets_its_own_task(types):
    results = hand_over(*[(OLGA, "probe", {"note": str(n)}, {}) for n in range(200)])
    assert len({r.task.id for r in results}) == 200
    assert [f'"note":"{n}"' in r.task.payload for n, r in enumerate(results)] == [True] * 200
    assert n_tasks() == db.main().value("select count(*) from audit") == 200


def test_a_crowd_shares_transactions(types, monkeypatch):
    sizes = []
    original = lifecycle.submit_each
    monkeypatch.setattr(
        lifecycle, "submit_each", lambda orders: sizes.append(len(orders)) or original(orders)
    )
    hand_over(*[(OLGA, "probe", {}, {})] * 100)
    assert sum(sizes) == 100
    assert len(sizes) <= 3
    assert max(sizes) <= handover.GROUP


def test_refused_orders_spoil_no_others(types):
    results = hand_over(
        (OLGA, "probe", {}, {"idempotency_key": "k"}),
        (OLGA, "nothing", {}, {}),
        (Actor("sam", Role.STAFF), "probe", {}, {}),
        (OLGA, "probe", {"sleep_ms": "x"}, {}),
        (OLGA, "probe", {"note": "other"}, {"idempotency_key": "k"}),
        (OLGA, "probe", {}, {"idempotency_key": "k"}),
        (OLGA, "probe", {"note": "\ud800"}, {}),
        (OLGA, "probe", {}, {}),
    )
    kinds = [type(r) for r in results]
    assert kinds[1:5] == [NotFound, Forbidden, InvalidInput, Conflict]
    assert isinstance(results[6], UnicodeEncodeError | InvalidInput)
    assert (results[5].created, results[5].task.id) == (False, results[0].task.id)
    assert results[7].created
    assert n_tasks() == 2


def test_order_that_fails_after_writing_leaves_nothing_of_itself(types, monkeypatch):
    calls = []

    def second_fails(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("half-way")

    monkeypatch.setattr(audit, "add", second_fails)
    results = hand_over(*[(OLGA, "probe", {}, {})] * 3)
    assert [type(r).__name__ for r in results] == ["Submitted", "RuntimeError", "Submitted"]
    assert n_tasks() == 2
    assert db.main().value("select count(*) from task_events") == 2


def test_failing_database_is_told_to_everybody(types, monkeypatch):
    def locked(orders):
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(lifecycle, "submit_each", locked)
    results = hand_over(*[(OLGA, "probe", {}, {})] * 3)
    assert {type(r) for r in results} == {sqlite3.OperationalError}


def test_more_than_can_wait_are_refused(types, monkeypatch):
    monkeypatch.setattr(handover, "WAITING", 10)
    results = hand_over(*[(OLGA, "probe", {}, {})] * 50)
    refused = [r for r in results if isinstance(r, Unavailable)]
    assert len(refused) == 40
    assert n_tasks() == 10


def test_client_that_goes_away_spoils_no_others(types):
    async def leave():
        first = asyncio.create_task(handover.submit(OLGA, "probe", {}, {}))
        second = asyncio.create_task(handover.submit(OLGA, "probe", {}, {}))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(leave()).created
