import os

import pytest

from engine.errors import Conflict
from engine.lib import processes
from engine.records import db
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
