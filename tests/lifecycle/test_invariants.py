"""Whatever people, workers and the clock do in whatever order, the records stay true to each other."""

import os
import tempfile
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine import clock, lifecycle, registry
from engine.errors import Conflict, LeaseLost
from engine.lifecycle import Ending, moves
from engine.records import db
from engine.words import ENDED, Outcome, TaskState
from tests.engine_kit import ANN, DONE, FAIL, FATAL, OPS, FakeClock, add_type, claim, row, submit

ENDINGS = [
    DONE,
    FAIL,
    FATAL,
    Ending(Outcome.INTERRUPTED),
    Ending(Outcome.CANCELLED),
    Ending(Outcome.TIMED_OUT, error=("timed_out", "Too long.")),
    Ending(Outcome.DEFERRED, error=("deferred", "Later."), delay_s=5),
]
IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # thousands of flushed commits
TYPES = ("plain", "narrow", "brief")


class Engine(RuleBasedStateMachine):
    """Two workers, three task types, everything that can happen to a task."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=IN_MEMORY)
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("OFFLOAD_DATA_DIR", os.path.join(self.folder.name, "data"))
        self.patch.setattr(registry, "_types", {})
        self.wall = FakeClock()
        self.patch.setattr(clock, "_wall", self.wall)
        db.reset()
        add_type("plain")
        add_type("narrow", max_running=1, max_attempts=2)
        add_type("brief", expires_s=30, priority=5)
        self.held = []  # what workers believe to run, dead and outdated ones included
        self.ids = []

    def teardown(self):
        db.main().close()
        self.patch.undo()
        db.reset()
        self.folder.cleanup()

    def known(self, number):
        return self.ids[number % len(self.ids)]

    @rule(kind=st.sampled_from(TYPES), later_s=st.sampled_from([0, 0, 20]))
    def submit(self, kind, later_s):
        run_at_ms = clock.now_ms() + later_s * 1000 if later_s else None
        self.ids.append(submit(kind, run_at_ms=run_at_ms).id)

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def claim(self, worker):
        if task := claim(worker):
            assert task.expires_at_ms is None or task.expires_at_ms > clock.now_ms()
            self.held.append(task)

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 99), ending=st.sampled_from(ENDINGS), fused=st.booleans())
    def settle(self, number, ending, fused):
        task = self.held.pop(number % len(self.held))
        current = row(task)
        owns = current.state is TaskState.RUNNING and current.token == task.token
        try:
            if fused:
                _, taken = lifecycle.settle_and_claim(task, ending, "w1", registry.all_types())
                self.held += [taken] if taken else []
            else:
                lifecycle.settle(task, ending)
            assert owns
        except LeaseLost:
            assert not owns

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 99), percent=st.integers(-10, 200))
    def progress(self, number, percent):
        task = self.held[number % len(self.held)]
        before = row(task).progress
        try:
            lifecycle.progress(task, percent, "")
        except LeaseLost:
            assert row(task).progress == before
        assert row(task).progress >= before

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 99))
    def cancel(self, number):
        task_id = self.known(number)
        before = row(task_id).state
        outcome = lifecycle.cancel(OPS, task_id).outcome
        expected = "requested" if before is TaskState.RUNNING else "ended" if before in ENDED else "cancelled"
        assert outcome == expected

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 99))
    def retry(self, number):
        task_id = self.known(number)
        before = row(task_id).state
        try:
            lifecycle.retry(ANN, task_id)
            assert before in ENDED - {TaskState.SUCCEEDED}
        except Conflict:
            assert before not in ENDED - {TaskState.SUCCEEDED}

    @rule()
    def a_worker_dies(self):
        lifecycle.rescue(lambda _row: True, trust_leases=True)

    @rule(seconds=st.sampled_from([1, 15, 70, -3_600]))
    def time_passes(self, seconds):
        self.wall.advance(seconds)

    @rule()
    def expire(self):
        lifecycle.expire_waiting()

    @rule(scope=st.sampled_from(["*", "plain"]), on=st.booleans())
    def pause(self, scope, on):
        (lifecycle.pause if on else lifecycle.resume)(OPS, scope)

    @rule()
    def purge(self):
        lifecycle.purge(OPS)

    @invariant()
    def records_agree(self):
        running = Counter()
        for task_id in self.ids:
            task = row(task_id)
            attempts = db.main().read(
                "select * from attempts where task_id = :id order by attempt", id=task_id
            )
            outcomes = [a["outcome"] for a in attempts]
            assert [a["attempt"] for a in attempts] == list(range(1, task.attempt + 1))
            runs = task.state is TaskState.RUNNING
            running[task.type] += runs
            assert outcomes.count(None) == runs
            assert outcomes.count("succeeded") == (task.state is TaskState.SUCCEEDED)
            assert (task.finished_at_ms is not None) == (task.state in ENDED)
            assert (task.worker_id is not None) == (task.lease_until_ms is not None) == runs
            assert (task.progress == 100) == (task.state is TaskState.SUCCEEDED)
            assert task.failures <= task.max_attempts
            self.story_is_legal(task)
        assert running["narrow"] <= 1

    def story_is_legal(self, task):
        """Each event begins where the one before ended, or with an attempt in between."""
        events = db.main().read("select * from task_events where task_id = :id order by id", id=task.id)
        state = None
        for event in events:
            before = TaskState(event["from_state"]) if event["from_state"] else None
            if before is TaskState.RUNNING:
                assert state is TaskState.QUEUED
            else:
                assert before == state
            state = TaskState(event["to_state"])
            assert state in moves.LEGAL[before]
        if task.state in (TaskState.RUNNING, TaskState.SUCCEEDED):
            assert state is TaskState.QUEUED
        else:
            assert state == task.state


TestEngine = Engine.TestCase
TestEngine.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
