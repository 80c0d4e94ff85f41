import asyncio
import json

import pytest
from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
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


async def _drive(app, path, *, left=False, more_body=False, n_sent=100):
    sent = []
    incoming = [{"type": "http.request", "body": b"", "more_body": more_body}]

    async def receive():
        if not incoming and not left:
            await asyncio.Event().wait()  # as long as the client stays
        return incoming.pop() if incoming else {"type": "http.disconnect"}

    async def send(message):
        if len(sent) >= n_sent:
            raise OSError
        sent.append(dict(message))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
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


async def silent(scope, receive, send):
    return None


async def half(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})


def outcomes():
    return [(e["outcome"], e["status"], e["band"], e["response_bytes"]) for e in recorded()]


def test_a_client_that_left_before_the_end_is_no_failure(data_dir):
    async def cancelled(scope, receive, send):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(_drive(RequestMonitor(cancelled), "/x"))
    for app in (silent, half):
        asyncio.run(_drive(RequestMonitor(app), "/x", left=True))
    assert outcomes() == [("disconnect", 499, 0, 0), ("disconnect", 499, 0, 0), ("2xx", 200, 0, 1)]


def test_an_upload_that_is_broken_off_is_no_failure(data_dir):
    async def take(request):
        await request.body()

    async def give(request):
        await request.stream().__anext__()
        return StreamingResponse(iter([b"a", b"b"]))

    app = RequestMonitor(Starlette(routes=[Route("/take", take), Route("/give", give)]))
    with pytest.raises(ClientDisconnect):
        asyncio.run(_drive(app, "/take", left=True, more_body=True))
    with pytest.raises(ClientDisconnect):
        asyncio.run(_drive(app, "/give", left=True, n_sent=2))
    assert outcomes() == [("disconnect", 499, 0, 21), ("2xx", 200, 0, 2)]


def test_an_answer_that_is_never_finished_is_a_failure(data_dir):
    for app in (silent, half):
        asyncio.run(_drive(RequestMonitor(app), "/x"))
    assert outcomes() == [("5xx", 500, 2, 0), ("2xx", 200, 2, 1)]
    assert all('"error":"UnfinishedAnswer"' in row["detail"] for row in recorded())


def test_a_server_that_cannot_be_asked_for_the_client_is_not_blamed(data_dir):
    async def receive():
        raise OSError

    async def send(message):
        pass

    scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
    asyncio.run(RequestMonitor(silent)(scope, receive, send))
    assert outcomes() == [("disconnect", 499, 0, 0)]


def test_a_file_that_the_server_reads_itself_is_a_whole_answer(data_dir):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/etc/hostname"})

    asyncio.run(_drive(RequestMonitor(app), "/x"))
    assert outcomes() == [("2xx", 200, 0, 0)]


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


def test_parameters_of_mounts_are_not_in_the_name(data_dir):
    async def plain(scope, receive, send):
        await PlainTextResponse("plain")(scope, receive, send)

    def x(request):
        return PlainTextResponse("x")

    inner = [Mount("/l2", routes=[Route("/x/{id}", x), Route("/y", x)]), Mount("/raw", app=plain)]
    shop = FastAPI()
    shop.mount("/t/{tenant}", Starlette(routes=inner))
    shop.mount("/files/{id}", plain)
    outer = Starlette(routes=[Mount("/a/b/{id}", app=shop), Mount("/{id}", routes=inner)])
    client = TestClient(RequestMonitor(outer))
    for path in (
        "/7/l2/x/8",
        "/7/l2/y",
        "/7/raw/any/where",
        "/a/b/7/t/8/l2/y",
        "/a/b/7/files/9/z",
        "/a/b/7/no",
    ):
        client.get(path)
    assert [e["name"] for e in recorded()] == [
        "/{id}/l2/x/{id}",
        "/{id}/l2/y",
        "/{id}/raw/*",
        "/a/b/{id}/t/{tenant}/l2/y",
        "/a/b/{id}/files/{id}/*",
        "/a/b/{id}/*",
    ]


def test_routes_that_fastapi_does_not_mark_have_their_names(data_dir):
    app = make_app()
    app.add_route("/plain/{x}", lambda request: PlainTextResponse("x"))
    app.mount("/files", PlainTextResponse("file"))
    client = TestClient(RequestMonitor(app))
    for path in ("/openapi.json", "/docs", "/plain/7", "/files/a/b", "/none"):
        client.get(path)
    assert [e["name"] for e in recorded()] == [
        "/openapi.json",
        "/docs",
        "/plain/{x}",
        "/files/*",
        "_unmatched",
    ]


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


def test_queries_after_the_last_byte_are_counted_but_no_finding_of_the_request(data_dir):
    def many(n):
        for number in range(n):
            db.main().read(f"select {number} as one")

    async def app(scope, receive, send):
        many(2)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})
        many(30)
        with trace.operation("render", "invoice"):
            pass

    asyncio.run(_drive(RequestMonitor(app), "/x"))
    (row,) = recorded()
    assert (row["n_queries"], row["heavy"]) == (2, 0)
    assert json.loads(row["detail"])["operations"][0]["name"] == "invoice"
    (found,) = db.metrics().read(
        """select sum(n) as n from rollups join series on series.id = series_id
           where kind = 'query' and name <> '*'"""
    )
    assert found["n"] == 32
    assert db.metrics().read("select * from findings") == []


def test_a_task_that_outlives_its_request_does_not_change_its_record(data_dir):
    kept = []

    async def outlive():
        await asyncio.sleep(0)
        for number in range(30):
            db.main().read(f"select {number} as one")

    async def app(scope, receive, send):
        db.main().read("select 1 as one")
        kept.append(asyncio.create_task(outlive()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def both():
        await _drive(RequestMonitor(app), "/x")
        await kept[0]

    asyncio.run(both())
    (row,) = recorded()
    assert (row["n_queries"], row["heavy"]) == (1, 0)


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
