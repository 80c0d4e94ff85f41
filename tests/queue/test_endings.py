import json

import pytest

from engine.errors import (
    Deferred,
    InvalidInput,
    PermanentFailure,
    RateLimited,
    TaskCancelled,
    TransientFailure,
)
from engine.lib import child
from engine.queue.endings import failed, succeeded
from engine.queue.running import Running
from engine.words import Outcome
from tests.engine_kit import add_type, submit_and_claim


@pytest.fixture
def running(data_dir, no_types):
    add_type()
    return Running(submit_and_claim(), timeout_s=60)


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


def test_success_keeps_result_log_and_usage(running):
    running.log("hello")
    running.used(cpu_ms=5, peak_memory_bytes=6)
    ending = succeeded(running, {"naïve": 1})
    assert (ending.outcome, json.loads(ending.result)) == (Outcome.SUCCEEDED, {"naïve": 1})
    assert ending.log.endswith(" hello")
    assert (ending.cpu_ms, ending.peak_memory_bytes) == (5, 6)
    assert succeeded(running, None).result is None


@pytest.mark.parametrize("value", [{"rate": float("nan")}, {"rate": float("inf")}, {("a", "b"): 1}])
def test_result_that_is_not_json_fails_for_good_and_says_so(running, value):
    with pytest.raises(PermanentFailure, match="cannot be written as JSON") as caught:
        succeeded(running, value)
    assert caught.value.code == "result_not_json"


def test_result_with_half_a_surrogate_pair_can_be_stored_and_sent(running):
    text = succeeded(running, {"name": "a\ud83db"}).result
    assert json.loads(text.encode()) == {"name": "a?b"}


@pytest.mark.parametrize(
    ("error", "outcome", "permanent", "delay_s", "code", "message"),
    [
        (ValueError("oh no"), "failed", False, 0, "unexpected_error", "ValueError: oh no"),
        (PermanentFailure("Never.", code="gone"), "failed", True, 0, "gone", "Never."),
        (TransientFailure("Later.", retry_after_s=30), "failed", False, 30, "transient_failure", "Later."),
        (RateLimited("Enough."), "failed", False, 0, "rate_limited", "Enough."),
        (Deferred("Busy.", delay_s=9), "deferred", False, 9, "deferred", "Busy."),
        (Deferred("Busy.", delay_s=-9), "deferred", False, 0, "deferred", "Busy."),
        (MemoryError(), "failed", False, 0, "unexpected_error", "MemoryError: "),
        (SystemExit(3), "failed", False, 0, "unexpected_error", "SystemExit: 3"),
        (child.ChildTimedOut("Too long."), "timed_out", True, 0, "timed_out", "Too long."),
        (
            InvalidInput("Wrong.", fields={"a.b": "too long"}),
            "failed",
            True,
            0,
            "invalid_input",
            "Wrong. a.b: too long",
        ),
    ],
)
def test_error_decides_what_is_recorded(running, error, outcome, permanent, delay_s, code, message):
    ending = failed(running, raised(error))
    assert (ending.outcome, ending.permanent, ending.delay_s) == (outcome, permanent, delay_s)
    assert ending.error == (code, message)


def test_failure_keeps_the_traceback(running):
    assert "ValueError: x" in failed(running, raised(ValueError("x"))).traceback


@pytest.mark.parametrize("reason", [Outcome.CANCELLED, Outcome.INTERRUPTED, Outcome.DIED])
def test_whatever_a_stopped_attempt_raises_it_ended_because_it_was_stopped(running, reason):
    running.stop(reason)
    for error in (TaskCancelled(), ValueError("cleanup failed"), PermanentFailure()):
        assert failed(running, raised(error)).outcome is reason


def test_task_that_stops_itself_counts_as_cancelled(running):
    assert failed(running, raised(TaskCancelled())).outcome is Outcome.CANCELLED
