import asyncio
import sqlite3

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from engine import log, settings
from engine.records import db
from engine.services import monitor
from engine.web.envelope import Envelope
from engine.words import Role


async def fine(request):
    return PlainTextResponse(log.correlation_id(), headers={"Content-Security-Policy": "default-src 'none'"})


async def broken(request):
    raise RuntimeError("secret detail")


async def broken_half_way(request):
    async def chunks():
        yield b"begun"
        raise RuntimeError("too late for another status")

    return StreamingResponse(chunks())


@pytest.fixture
def client(data_dir):
    routes = [Route("/fine", fine), Route("/broken", broken), Route("/half", broken_half_way)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Envelope)]))


def test_correlation_id_is_made_bound_and_returned(client):
    first, second = client.get("/fine"), client.get("/fine")
    assert first.headers["x-correlation-id"] == first.text
    assert first.text != second.text


@pytest.mark.parametrize(
    ("given", "kept"),
    [("order-2024.11_7", True), ("short", False), ("a" * 65, False), ("a b c d e f g", False)],
)
def test_harmless_correlation_ids_are_taken_over(client, given, kept):
    answer = client.get("/fine", headers={"X-Correlation-ID": given})
    assert (answer.text == given) is kept


def test_unexpected_failure_is_500_in_the_one_shape_without_its_cause(client):
    answer = client.get("/broken")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]
    assert "secret detail" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_guard_without_a_database_says_so(people, monkeypatch):
    client = people.by_token("anna")

    def broken(self, sql, /, **params):
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(db.Database, "one", broken)
    answer = client.get("/api/tasks")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")


def test_guard_without_the_file_of_the_database_says_that(people, data_dir):
    """The first request of a process: no connection is open yet."""
    client = people.by_token("olga", Role.OPS)
    db.reset()
    db.metrics()
    (data_dir / "offload.db").unlink()
    error = client.get("/api/tasks").json()["error"]
    assert (error["code"], error["message"][:30]) == ("database_gone", "offload.db was deleted or repl")


def test_an_upload_that_is_broken_off_is_told_as_what_it_is(people):
    """The client has gone: no answer, no failure, no traceback in the log."""
    sent, parts = [], [{"type": "http.request", "body": b"--x\r\n", "more_body": True}]

    async def receive():
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    client = people.by_token("sam", Role.STAFF)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/api/uploads",
        "raw_path": b"/api/uploads",
        "root_path": "",
        "query_string": b"",
        "scheme": "http",
        "server": ("test", 80),
        "headers": [
            (b"authorization", client.headers["authorization"].encode()),
            (b"content-type", b"multipart/form-data; boundary=x"),
        ],
    }
    asyncio.run(client.app(scope, receive, send))
    monitor.flush()
    (event,) = db.metrics().read(
        """select outcome, status, band from events join series on series.id = series_id
           where name = '/api/uploads'"""
    )
    assert (event["outcome"], event["status"], event["band"], sent) == ("disconnect", 499, 0, [])


def test_failure_after_the_answer_has_begun_breaks_the_connection(client):
    with pytest.raises(RuntimeError, match="too late"):
        client.get("/half")


def test_security_headers_are_on_every_answer_and_stricter_ones_stay(client):
    headers = client.get("/fine").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["content-security-policy"] == "default-src 'none'"
    assert "strict-transport-security" not in headers
    policy = client.get("/broken").headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy


def test_answers_for_one_person_are_kept_by_no_cache(people):
    for path in ("/api/tasks", "/auth/login", "/async-monitoring/health/"):
        assert people.client().get(path).headers["cache-control"] == "no-store"


def test_https_is_insisted_on_where_people_use_it(client, monkeypatch):
    monkeypatch.setenv("OFFLOAD_PUBLIC_URL", "https://offload.example")
    settings.get.cache_clear()
    assert "strict-transport-security" in client.get("/fine").headers
