import asyncio
import json

import pytest
from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from engine import log
from engine.lib import sqltrace, trace
from engine.records import db
from engine.services import monitor
from engine.web.middleware import RequestMonitor
from engine.words import Actor, Role


def make_app():
    app = FastAPI()
    things = APIRouter(prefix="/things")

    @things.get("/{number}")
    def thing(number: int, request: Request):
        if number == 99:
            request.state.actor = Actor("ann", Role.STAFF)
        db.main().read("select 1 as one")
        return {"id": log.correlation_id()}

    @app.get("/boom")
    async def boom():
        raise RuntimeError("no")

    @app.get("/stream")
    async def stream():
        async def events():
            for _ in range(3):
                yield b"data: x\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/blocking")
    async def blocking():
        db.main().read("select 1 as one")
        return PlainTextResponse("ok")

    @app.websocket("/ws")
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    app.include_router(things, prefix="/api")
    return app


@pytest.fixture
def client(data_dir):
    return TestClient(RequestMonitor(make_app(), service="shop"), raise_server_exceptions=False)


def recorded():
    monitor.flush()
    return db.metrics().read(
        """select service, kind, name, method, outcome, events.* from events
           join series on series.id = series_id order by events.id"""
    )


def test_a_request_is_recorded_under_its_route(client):
    assert client.get("/api/things/5").status_code == 200
    (event,) = recorded()
    assert [event[c] for c in ("service", "kind", "name", "method", "outcome")] == [
        "shop",
        "http",
        "/api/things/{number}",
        "GET",
        "2xx",
    ]
    assert (event["status"], event["n_queries"]) == (200, 1)
    assert event["response_bytes"] == len(b'{"id":"0123456789abcdef"}')


def test_a_rejected_request_belongs_to_its_route_too(client):
    client.get("/api/things/x")
    client.get("/none/such")
    client.request("BREW", "/api/things/5")
    found = [(e["name"], e["method"], e["outcome"]) for e in recorded()]
    assert found == [
        ("/api/things/{number}", "GET", "4xx"),
        ("_unmatched", "GET", "4xx"),
        ("/api/things/{number}", "_OTHER", "4xx"),
    ]


def test_an_exception_is_a_failure_and_still_raised(data_dir):
    client = TestClient(RequestMonitor(make_app()))
    with pytest.raises(RuntimeError, match="no"):
        client.get("/boom")
    (event,) = recorded()
    assert (event["outcome"], event["status"], event["band"], event["keep_reason"]) == (
        "5xx",
        500,
        2,
        "failed",
    )
    assert '"error":"RuntimeError"' in event["detail"]


def test_the_correlation_id_reaches_the_work_and_comes_back(client):
    answer = client.get("/api/things/5", headers={"X-Request-ID": "order-12345678"})
    assert answer.json() == {"id": "order-12345678"}
    assert answer.headers["x-request-id"] == "order-12345678"
    assert recorded()[0]["correlation_id"] == "order-12345678"
    assert log.correlation_id() is None


@pytest.mark.parametrize("sent", ["short", "x" * 65, 'a"b<script>xyz', "../../etc/passwd", "-starts-badly"])
def test_a_malformed_correlation_id_is_replaced(client, sent):
    answer = client.get("/api/things/5", headers={"X-Correlation-ID": sent})
    assert len(answer.headers["x-request-id"]) == 16
    assert answer.headers["x-request-id"] != sent


def test_a_signed_in_person_is_recorded_as_a_hash_with_the_role(client):
    client.get("/api/things/99")
    (event,) = recorded()
    assert event["role"] == "staff"
    assert len(event["user_hash"]) == 12


def test_an_event_stream_is_passed_on_piece_by_piece(data_dir):
    sent = asyncio.run(_drive(RequestMonitor(make_app()), "/stream"))
    bodies = [m["body"] for m in sent if m["type"] == "http.response.body"]
    assert bodies == [b"data: x\n\n"] * 3 + [b""]
    assert recorded()[0]["kind"] == "stream"


async def _drive(app, path):
    sent = []

    async def receive():
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(dict(message))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "scheme": "http",
        "server": ("test", 80),
    }
    await app(scope, receive, send)
    return sent


def test_a_client_that_left_before_the_answer_is_no_failure(data_dir):
    async def cancelled(scope, receive, send):
        raise asyncio.CancelledError

    async def silent(scope, receive, send):
        return None

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(_drive(RequestMonitor(cancelled), "/x"))
    asyncio.run(_drive(RequestMonitor(silent), "/x"))
    assert [(e["outcome"], e["status"], e["band"]) for e in recorded()] == [("disconnect", 499, 0)] * 2


def test_a_web_socket_passes_untouched(client):
    with client.websocket_connect("/ws") as socket:
        assert socket.receive_text() == "hello"
    assert recorded() == []


def test_a_query_on_the_event_loop_is_told_from_one_in_a_thread(client, monkeypatch):
    monkeypatch.setattr(sqltrace, "BLOCKING_NS", 0)
    client.get("/blocking")
    client.get("/api/things/5")
    heavy = {e["name"]: e["heavy"] for e in recorded()}
    assert heavy == {"/blocking": monitor.Heavy.BLOCKING_QUERY, "/api/things/{number}": 0}


def test_mounted_applications_are_recorded_once_with_their_full_path(data_dir):
    inner = RequestMonitor(make_app(), service="inner")
    outer = Starlette(routes=[Mount("/shop", app=inner), Route("/own/{x}", lambda r: PlainTextResponse("x"))])
    client = TestClient(RequestMonitor(outer, service="outer"))
    client.get("/shop/api/things/5")
    client.get("/own/7")
    client.get("/shop/none")
    found = [(e["service"], e["name"]) for e in recorded()]
    assert found == [("outer", "/shop/api/things/{number}"), ("outer", "/own/{x}"), ("outer", "/shop/*")]


def test_an_application_without_routes_may_name_them(data_dir):
    async def plain(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    named = RequestMonitor(plain, resolve=lambda scope: "/orders/{id}" if scope["path"] != "/" else None)
    for path in ("/orders/1", "/"):
        asyncio.run(_drive(named, path))
    asyncio.run(_drive(RequestMonitor(plain), "/_stcore/health"))
    assert [e["name"] for e in recorded()] == ["/orders/{id}", "_unmatched", "/_stcore/*"]


def test_work_after_the_last_byte_is_not_waited_for(data_dir, monkeypatch):
    ticks = iter(range(0, 10**12, 10**6))
    monkeypatch.setattr("engine.web.middleware.perf_counter_ns", lambda: next(ticks))
    monkeypatch.setattr("engine.lib.trace.perf_counter_ns", lambda: next(ticks))

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})
        for _ in range(500):
            next(ticks)

    asyncio.run(_drive(RequestMonitor(app), "/x"))
    (row,) = recorded()
    assert row["duration_us"] == 1_000  # from the start of the trace to the last byte: one tick
    assert json.loads(row["detail"])["after_us"] == 501_000


def test_the_interface_records_its_requests_once(data_dir):
    from engine.web.app import api

    with TestClient(api) as client:
        answer = client.get("/api/tasks", headers={"X-Request-ID": "order-12345678"})
    assert answer.headers["x-correlation-id"] == answer.headers["x-request-id"] == "order-12345678"
    (event,) = recorded()
    assert (event["name"], event["outcome"]) == ("_unmatched", "4xx")  # the guard refused before any route


def test_what_an_application_keeps_under_our_words_hurts_nobody(data_dir):
    async def app(scope, receive, send):
        scope["state"] |= {"actor": "ann", "error": ValueError("no")}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    def resolve(scope):
        raise LookupError("a stranger's mistake")

    client = TestClient(RequestMonitor(app, service="shop", resolve=resolve))
    assert client.get("/x").text == "ok"
    (row,) = recorded()
    assert (row["name"], row["outcome"], row["user_hash"]) == ("_unmatched", "2xx", None)


def test_an_answer_that_is_sent_again_and_again_stays_as_it_is(data_dir):
    start = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}

    async def app(scope, receive, send):
        await send(start)
        await send({"type": "http.response.body", "body": b"ok"})

    client = TestClient(RequestMonitor(app, service="shop"))
    ids = [client.get("/x").headers.get_list("x-request-id") for _ in range(3)]
    assert [len(found) for found in ids] == [1, 1, 1]
    assert start["headers"] == [(b"a", b"b")]


def test_calls_of_a_watched_application_bear_its_name(data_dir):
    async def app(scope, receive, send):
        with trace.operation("call", "GET supplier"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    TestClient(RequestMonitor(app, service="shop")).get("/x")
    assert {(row["service"], row["kind"]) for row in recorded()} == {("shop", "http"), ("shop", "call")}
    assert db.metrics().value("select service from recorders") == "shop"


def test_what_was_recorded_is_written_when_the_server_shuts_down(data_dir):
    with TestClient(RequestMonitor(make_app(), service="shop")) as client:
        client.get("/api/things/5")
    assert db.metrics().value("select count(*) from events") == 1
    assert db.metrics().value("select count(*) from recorders where ended_at_ms is null") == 0
