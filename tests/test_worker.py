from types import SimpleNamespace

import pytest

from engine import worker
from engine.records import db
from engine.services import monitor
from engine.words import Actor, Role


def test_an_attempt_is_recorded_under_the_owner_of_its_task(data_dir):
    task = SimpleNamespace(started_at_ms=1_700, queued_at_ms=1_000, created_at_ms=900)
    running = SimpleNamespace(task=task, type="report", correlation_id="c1", owner="ann", stop_reason=None)
    with monitor.measure("http", "/reports", actor=Actor("ann", Role.STAFF)), worker.measured(running):
        pass
    monitor.flush()
    request, attempt = (
        db.metrics().one(
            """select events.* from events join series on series.id = series_id where kind = :kind""",
            kind=kind,
        )
        for kind in ("http", "task")
    )
    assert (attempt["correlation_id"], attempt["wait_us"]) == ("c1", 700_000)
    assert attempt["user_hash"] == request["user_hash"] is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"worker_type": "process"}, "in threads"),
        ({"workers": 0}, "at least one"),
        ({"workers": -1}, "at least"),
    ],
)
def test_consumer_that_could_run_nothing_does_not_start(options, words):
    with pytest.raises(SystemExit, match=words):
        worker.Worker(worker.huey, **options)
