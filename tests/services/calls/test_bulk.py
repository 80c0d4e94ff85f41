"""Bulk calls as one task, against a server on loopback."""

import json
import threading

import pytest

from engine import clock, lifecycle
from engine.errors import InvalidInput, RateLimited
from engine.records import calls, db
from engine.services.calls import answers, bulk
from engine.words import Outcome
from tests.engine_kit import ANN
from tests.lib.http.hostile import answer, raw, running_from
from tests.task_kit import run_next


def submit(urls_or_calls, **more):
    given = [{"url": c} if isinstance(c, str) else c for c in urls_or_calls]
    return lifecycle.submit(ANN, "call_bulk", {"calls": given, **more}).task


def echo(sock, request):
    body = request.split(b" ")[1]
    return answer(body)(sock, request)


def test_results_come_in_the_order_of_the_calls(server):
    for number in range(12):
        server.on[f"/{number}"] = echo
    submit([f"{server.url}/{number}" for number in range(12)])
    found = json.loads(run_next().result)
    assert [item["result"]["text"] for item in found["items"]] == [f"/{n}" for n in range(12)]
    assert (found["n_items"], found["n_succeeded"], found["n_failed"]) == (12, 12, 0)


def test_one_failure_fails_none_of_the_others(server, no_wait):
    server.on["/ok"] = answer(b"ok")
    server.on["/cut"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    server.on["/big"] = raw(b"HTTP/1.1 200 OK\r\n\r\n", bytes(2 * 1024 * 1024))
    done = submit([f"{server.url}/{p}" for p in ("ok", "cut", "missing", "big", "ok")])
    done = run_next()
    items = json.loads(done.result)["items"]
    assert done.state == "succeeded"
    assert [item["state"] for item in items] == ["succeeded", "failed", "failed", "failed", "succeeded"]
    assert [item["error"] and item["error"]["code"] for item in items] == [
        None,
        "connection_lost",
        "http_404",
        "answer_too_large",
        None,
    ]


def test_an_error_nobody_expected_fails_one_call_only(server, monkeypatch):
    server.on["/a"] = server.on["/b"] = echo
    document = answers.document

    def broken(given, n_tries):
        return document(given, n_tries if given.url.endswith("/a") else 1 // 0)

    monkeypatch.setattr(answers, "document", broken)
    submit([f"{server.url}/a", f"{server.url}/b"])
    items = json.loads(run_next().result)["items"]
    assert [item["state"] for item in items] == ["succeeded", "failed"]
    assert items[1]["error"]["code"] == "unexpected_error"


def test_refused_calls_are_listed_with_their_error(server):
    server.on["/a"] = answer(b"x")
    task = submit(
        [f"{server.url}/a", "http://me:pw@10.0.0.1/?token=x", {"url": f"{server.url}/a", "method": "FLY"}]
    )
    rows = calls.items(db.main(), task.id)
    assert rows[1]["url"] == "http://***@10.0.0.1/"
    assert [row["state"] for row in rows] == ["waiting", "refused", "refused"]
    assert rows[1]["error_message"] == "url: address not allowed"
    found = json.loads(run_next().result)
    assert (found["n_succeeded"], found["n_refused"]) == (1, 2)


def test_nothing_is_stored_when_every_call_is_refused(server):
    with pytest.raises(InvalidInput) as caught:
        submit(["http://10.0.0.1/", "http://[::1]/"])
    assert caught.value.fields == {"calls.0.url": "address not allowed", "calls.1.url": "address not allowed"}
    assert db.main().value("select count(*) from tasks") == 0


def test_fifty_one_are_too_many(server):
    with pytest.raises(InvalidInput) as caught:
        submit([f"{server.url}/a"] * 51)
    assert caught.value.fields == {"calls": "at most 50 calls in one bulk; these are 51"}
    submit([f"{server.url}/a"] * 50)


def test_every_call_counts_against_the_limit(server, monkeypatch):
    monkeypatch.setenv("OFFLOAD_CALLS_PER_HOUR", "3")
    from engine import settings

    settings.get.cache_clear()
    task = submit([f"{server.url}/a"] * 5)
    rows = calls.items(db.main(), task.id)
    assert [row["error_code"] for row in rows] == [None, None, None, "rate_limited", "rate_limited"]
    with pytest.raises(RateLimited):
        submit([f"{server.url}/a"])


def test_an_item_whose_kept_answer_has_ended_meanwhile_counts(server, monkeypatch, wall):
    monkeypatch.setenv("OFFLOAD_CALLS_PER_HOUR", "2")
    from engine import settings

    settings.get.cache_clear()
    server.on["/a"] = answer(b"x")
    kept = {"url": f"{server.url}/a", "cache_ttl_s": 60}
    submit([kept])
    run_next()
    task = submit([kept] * 4)
    wall.advance(61)
    server.on["/a"] = answer(b"x", Cache_Control="no-store")
    run_next()
    codes = [row["error_code"] for row in calls.items(db.main(), task.id)]
    assert sorted(codes, key=str) == [None, "rate_limited", "rate_limited", "rate_limited"]
    assert len(server.requests) == 2


class Gauge:
    """How many requests are being answered, and the most there ever were."""

    def __init__(self):
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, sock, request):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(0.03)
        with self.lock:
            self.now -= 1
        return answer(b"x")(sock, request)


def test_calls_run_in_parallel_but_spare_one_host(server):
    server.on["/a"] = gauge = Gauge()
    submit([f"{server.url}/a"] * 30)
    assert json.loads(run_next().result)["n_succeeded"] == 30
    assert 2 <= gauge.most <= bulk.PER_HOST


def test_one_deadline_ends_all(server, monkeypatch):
    read, hanging, document = threading.Event(), threading.Event(), answers.document
    monkeypatch.setattr(clock, "elapsed", running_from(hanging))
    monkeypatch.setattr(answers, "document", lambda *given: (read.set(), document(*given))[1])
    server.on["/slow"] = lambda *_: (read.wait(60), hanging.set(), server.stopped.wait(60))
    server.on["/ok"] = answer(b"x")
    submit([f"{server.url}/ok", f"{server.url}/slow"], timeout_s=1)
    items = json.loads(run_next().result)["items"]
    assert [item["error"] and item["error"]["code"] for item in items] == [None, "deadline"]


def test_a_bulk_is_cancelled(server):
    arrived = threading.Event()
    server.on["/slow"] = lambda sock, request: (arrived.set(), server.stopped.wait(10))[1]
    submit([f"{server.url}/slow"] * 20)

    def stop_soon(running):
        threading.Thread(
            target=lambda: (arrived.wait(5), running.stop(Outcome.CANCELLED)), daemon=True
        ).start()

    assert run_next(stop_when=stop_soon).state == "cancelled"
    assert len(server.requests) <= bulk.PER_HOST


def test_after_a_death_only_the_rest_is_made(server):
    for path in ("/done", "/rest", "/post"):
        server.on[path] = echo
    task = submit(
        [
            f"{server.url}/done",
            f"{server.url}/rest",
            {"url": f"{server.url}/post", "method": "POST", "text": "x"},
        ]
    )
    with db.main().write() as tx:
        done = {"state": "succeeded", "n_tries": 1, "finished_at_ms": 1, "duration_ms": 1, "status": 200}
        more = {"error_code": None, "error_message": None, "result": '{"text": "before"}'}
        calls.finish_item(tx, task.id, 0, {**done, **more})
        calls.mark_item_sent(tx, task.id, 2, 1)
    items = json.loads(run_next().result)["items"]
    assert items[0]["result"] == {"text": "before"}
    assert items[1]["result"]["text"] == "/rest"
    assert items[2]["error"]["code"] == "outcome_unknown"
    assert [request.split(b" ")[1] for request in server.requests] == [b"/rest"]


def test_progress_counts_items(server):
    server.on["/a"] = answer(b"x")
    task = submit([f"{server.url}/a"] * 3)
    assert run_next().progress == 100
    assert (
        db.main().value(
            "select count(*) from call_items where task_id = :id and state = 'succeeded'", id=task.id
        )
        == 3
    )


def test_secrets_of_the_items_are_sealed(server):
    server.on["/a"] = answer()
    submit([{"url": f"{server.url}/a", "headers": {"X-Api-Key": "topsecret"}}])
    run_next()
    assert b"topsecret" in server.requests[0]
    folder = db.main().path.parent
    assert all(b"topsecret" not in (folder / n).read_bytes() for n in ("offload.db", "offload.db-wal"))
