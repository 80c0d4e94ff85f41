"""API calls as tasks, against a server on loopback."""

import json
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from engine import lifecycle
from engine.errors import InvalidInput, RateLimited
from engine.records import db
from engine.records import tasks as task_rows
from engine.services.calls import single
from engine.words import Outcome
from tests.engine_kit import ANN, BOB, row
from tests.lib.http.hostile import answer, raw
from tests.task_kit import run_next


def submit(actor=ANN, **payload):
    return lifecycle.submit(actor, "api_call", payload).task


def result(task):
    return json.loads(task.result)


def in_turn(*acts):
    """Answer with the acts one after the other, the last for ever."""
    left = list(acts)
    return lambda sock, request: (left.pop(0) if len(left) > 1 else left[0])(sock, request)


def call_row(task):
    return db.main().one("select * from calls where task_id = :id", id=task.id)


def test_returns_the_answer_and_records_it(server):
    server.on["/a"] = answer(b'{"a": 1}', Content_Type="application/json", Set_Cookie="s=1")
    task = submit(url=f"{server.url}/a", params={"q": "x"})
    done = run_next()
    found = result(done)
    assert (done.state, found["status"], found["json"], found["tries"]) == ("succeeded", 200, {"a": 1}, 1)
    assert found["from_cache"] is False
    assert set(found["timing"]) == {
        "lookup_ms",
        "connect_ms",
        "tls_ms",
        "first_byte_ms",
        "body_ms",
        "total_ms",
    }
    assert "set-cookie" not in found["headers"]
    assert (call_row(task)["status"], call_row(task)["n_tries"], call_row(task)["url"]) == (
        200,
        1,
        f"{server.url}/a?q=x",
    )


def test_sends_secrets_and_stores_them_sealed(server):
    server.on["/a"] = answer()
    submit(url=f"{server.url}/a?key=inurl", headers={"Authorization": "Bearer topsecret"})
    run_next()
    assert b"Bearer topsecret" in server.requests[0]
    assert b"key=inurl" in server.requests[0]
    folder = db.main().path.parent
    for file in folder.glob("*.db*"):
        text = file.read_bytes()
        assert b"topsecret" not in text
        assert b"inurl" not in text


def test_an_error_answer_fails_the_task_and_is_kept(server):
    server.on["/a"] = answer(b'{"why": "gone"}', "404 Not Found", Content_Type="application/json")
    submit(url=f"{server.url}/a")
    done = run_next()
    assert (done.state, done.error_code, done.error_message) == (
        "failed",
        "http_404",
        "The server answered 404 Not Found.",
    )
    assert result(done)["json"] == {"why": "gone"}
    assert len(server.requests) == 1


def test_tries_again_and_succeeds(server, no_wait):
    server.on["/a"] = in_turn(answer(status="503 Down"), raw(b""), answer(b"ok"))
    submit(url=f"{server.url}/a")
    done = run_next()
    assert (done.state, result(done)["text"], result(done)["tries"]) == ("succeeded", "ok", 3)
    assert len(no_wait) == 2


def test_gives_up_after_its_tries(server, no_wait):
    server.on["/a"] = answer(status="500 Broken")
    submit(url=f"{server.url}/a", retries=1)
    done = run_next()
    assert (done.state, done.error_code, len(server.requests)) == ("failed", "http_500", 2)


def test_a_post_that_may_have_had_its_effect_is_not_repeated(server, no_wait):
    server.on["/a"] = raw(b"")
    submit(url=f"{server.url}/a", method="POST", json={"a": 1})
    done = run_next()
    assert (done.state, done.error_code, len(server.requests)) == ("failed", "connection_lost", 1)


def test_the_total_time_bounds_all_tries(server, monkeypatch):
    monkeypatch.setenv("OFFLOAD_CALL_TOTAL_S", "0.4")
    from engine import settings

    settings.get.cache_clear()
    server.on["/a"] = lambda sock, request: server.stopped.wait(5)
    submit(url=f"{server.url}/a", retries=9)
    done = run_next()
    assert (done.error_code, len(server.requests)) == ("timed_out", 1)


def test_a_long_wait_gives_the_worker_back(server, wall):
    server.on["/a"] = in_turn(answer(status="429 Slow", Retry_After="60"), answer(b"ok"))
    task = submit(url=f"{server.url}/a")
    waiting = run_next()
    assert waiting.state == "retrying"
    assert 60_000 <= waiting.due_at_ms - int(wall.now_s * 1000) <= 61_000
    wall.advance(62)
    done = run_next()
    assert (done.state, result(done)["tries"], call_row(task)["n_tries"]) == ("succeeded", 2, 2)


def test_tries_before_a_long_wait_count(server, wall):
    server.on["/a"] = answer(status="503 Down", Retry_After="30")
    submit(url=f"{server.url}/a", retries=1)
    assert run_next().state == "retrying"
    wall.advance(40)
    done = run_next()
    assert (done.state, done.error_code, len(server.requests)) == ("failed", "http_503", 2)


def test_a_running_call_is_cancelled(server):
    arrived = threading.Event()
    server.on["/a"] = lambda sock, request: (arrived.set(), server.stopped.wait(10))[1]
    submit(url=f"{server.url}/a")

    def stop_soon(running):
        threading.Thread(
            target=lambda: (arrived.wait(5), running.stop(Outcome.CANCELLED)), daemon=True
        ).start()

    assert run_next(stop_when=stop_soon).state == "cancelled"


# After a worker's death


def died_after_sending(server, **payload):
    """Claim a call, send it, and vanish; return the task as rescued."""
    submit(url=f"{server.url}/a", **payload)
    from engine import registry

    task = lifecycle.claim("w1", registry.all_types())
    with db.main().write() as tx:
        task_rows.mark_sent(tx, task, 1)
    lifecycle.rescue(lambda worker: True, trust_leases=True)
    return row(task)


def test_a_post_in_flight_is_not_sent_again(server):
    found = died_after_sending(server, method="POST", text="x")
    assert (found.state, found.error_code) == ("failed", "outcome_unknown")


def test_a_post_with_an_idempotency_key_is(server):
    found = died_after_sending(server, method="POST", text="x", headers={"Idempotency-Key": "k"})
    assert found.state == "queued"


def test_a_post_marks_that_it_is_about_to_be_sent(server):
    seen = []
    server.on["/a"] = lambda sock, request: (
        seen.append(db.main().value("select sent_at_ms from tasks")),
        answer()(sock, request),
        db.main().close(),
    )
    submit(url=f"{server.url}/a", method="POST", text="x")
    run_next()
    submit(url=f"{server.url}/a")
    run_next()
    assert seen[0] is not None


# Limits


def test_the_limit_opens_an_hour_after_the_first_call(server, wall, monkeypatch):
    monkeypatch.setenv("OFFLOAD_CALLS_PER_HOUR", "3")
    from engine import settings

    settings.get.cache_clear()
    first_ms = int(wall.now_s * 1000)
    for _ in range(3):
        submit(url=f"{server.url}/a")
        wall.advance(60)
    with pytest.raises(RateLimited) as caught:
        submit(url=f"{server.url}/a", params={"other": "query"})
    assert caught.value.retry_at_ms == first_ms + 3_600_000
    assert db.main().value("select count(*) from tasks") == 3
    submit(url=f"{server.url}/b")
    submit(BOB, url=f"{server.url}/a")
    wall.advance(3_600 - 180)
    submit(url=f"{server.url}/a")
    with pytest.raises(RateLimited):
        submit(url=f"{server.url}/a")


def test_a_refused_submit_does_not_count(server, monkeypatch):
    monkeypatch.setenv("OFFLOAD_CALLS_PER_HOUR", "1")
    from engine import settings

    settings.get.cache_clear()
    with pytest.raises(InvalidInput):
        lifecycle.submit(ANN, "api_call", {"url": f"{server.url}/a"}, priority=1000)
    submit(url=f"{server.url}/a")


def test_running_a_failed_call_again_counts(server, monkeypatch):
    monkeypatch.setenv("OFFLOAD_CALLS_PER_HOUR", "2")
    from engine import settings

    settings.get.cache_clear()
    task = submit(url=f"{server.url}/a")
    run_next()
    lifecycle.retry(ANN, task.id)
    run_next()
    with pytest.raises(RateLimited):
        lifecycle.retry(ANN, task.id)


def test_counts_left_by_a_clock_that_was_ahead_do_not_block(server, wall, monkeypatch):
    monkeypatch.setenv("OFFLOAD_CALLS_PER_HOUR", "1")
    from engine import settings

    settings.get.cache_clear()
    submit(url=f"{server.url}/a")
    wall.advance(-86_400)
    submit(url=f"{server.url}/a")


def burst(url):
    from engine import tasks

    tasks.load()
    allowed = 0
    for _ in range(60):
        try:
            lifecycle.submit(ANN, "api_call", {"url": url})
            allowed += 1
        except RateLimited:
            pass
    return allowed


def test_the_limit_is_exact_across_processes(server):
    with ProcessPoolExecutor(4, get_context("spawn")) as pool:
        assert sum(pool.map(burst, [f"{server.url}/a"] * 4)) == 100


# Cache


def test_a_kept_answer_is_used_and_free(server, monkeypatch):
    monkeypatch.setenv("OFFLOAD_CALLS_PER_HOUR", "1")
    from engine import settings

    settings.get.cache_clear()
    server.on["/a"] = answer(b"one")
    for _ in range(3):
        submit(url=f"{server.url}/a", cache_ttl_s=60)
        found = result(run_next())
    assert (found["text"], found["from_cache"], len(server.requests)) == ("one", True, 1)
    assert found["cached_at"].endswith("Z")


def test_a_kept_answer_that_ended_before_the_task_began_is_counted(server, wall, monkeypatch):
    monkeypatch.setenv("OFFLOAD_CALLS_PER_HOUR", "1")
    from engine import settings

    settings.get.cache_clear()
    server.on["/a"] = answer(b"one")
    submit(url=f"{server.url}/a", cache_ttl_s=60)
    run_next()
    submit(url=f"{server.url}/a", cache_ttl_s=60)
    wall.advance(120)
    done = run_next()
    assert (done.state, done.error_code, len(server.requests)) == ("failed", "rate_limited", 1)


def test_nobody_gets_the_answer_kept_for_another(server):
    server.on["/a"] = answer(b"private")
    submit(url=f"{server.url}/a", cache_ttl_s=60)
    run_next()
    submit(BOB, url=f"{server.url}/a", cache_ttl_s=60)
    assert result(run_next())["from_cache"] is False


def test_a_sealed_payload_of_another_person_is_refused(server):
    task = submit(url=f"{server.url}/a", headers={"Authorization": "x"})
    stolen = json.loads(task.payload)
    with pytest.raises(InvalidInput):
        submit(BOB, **stolen)


def test_the_rule_after_a_death_reads_the_stored_call(server):
    assert single.after_death(submit(url=f"{server.url}/a")) is None
