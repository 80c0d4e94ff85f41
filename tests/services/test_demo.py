import os

import pytest

from engine.errors import Conflict
from engine.lib import processes
from engine.records import db, workers
from engine.services import demo
from engine.words import Actor, Role
from tests.engine_kit import add_type, claim, register_worker, submit

SHOP = Actor(demo.OWNER, Role.STAFF)


@pytest.fixture(autouse=True)
def job(data_dir, no_types):
    add_type()


def n_tasks():
    return db.main().value("select count(*) from tasks where owner = :owner", owner=demo.OWNER)


def work(pid, start_ticks):
    register_worker("w1", pid, host_key=processes.host_key(), start_ticks=start_ticks)
    submit(actor=SHOP)
    return claim("w1")


def test_what_a_killed_demo_left_waiting_or_running_is_removed():
    """Its own worker is gone, and nobody else may know the task types of the shop."""
    work(
        pid=os.getpid(), start_ticks=processes.start_ticks() + 1
    )  # the number belongs to another process now
    submit(actor=SHOP)
    submit()
    assert demo.remove().n_tasks == 2
    assert n_tasks() == 0
    assert db.main().value("select count(*) from tasks") == 1


def test_work_of_a_living_worker_is_waited_for():
    work(pid=os.getpid(), start_ticks=processes.start_ticks())
    submit(actor=SHOP)
    with pytest.raises(Conflict, match="1 tasks"):
        demo.remove()
    assert n_tasks() == 2


def test_the_worker_of_the_demo_leaves_no_row():
    types = "job shop_supplier"
    here = {"host_key": processes.host_key(), "start_ticks": processes.start_ticks()}
    register_worker("stopped", os.getpid(), types=types, **here)
    register_worker("killed", os.getpid(), types=types, **here | {"start_ticks": here["start_ticks"] + 1})
    register_worker("elsewhere", types=types)
    register_worker("lives", os.getpid(), types=types, **here)
    register_worker("mine", os.getpid(), **here)
    with db.main().write() as tx:
        for worker_id in ("stopped", "mine"):
            workers.stop(tx, worker_id, 1, "shut down")
    demo.remove()
    left = db.main().read("select id from workers order by id")
    assert [row["id"] for row in left] == ["elsewhere", "lives", "mine"]
