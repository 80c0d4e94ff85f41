"""Who gets in, asked of the real processes: links, sessions, the WebSocket, forgery, and hostile bytes."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

COOKIE = "offload_session"


@pytest.fixture
def cookie(house):
    """The session cookie of somebody who has just signed in by a link, on the pages."""
    house.cli("users", "add", "anna", "--role", "staff")
    path = "/auth/login?" + house.cli("users", "link", "anna").stdout.strip().partition("?")[2]
    answer = house.visitor(pages=True).get(path)
    assert answer.status_code == 303
    return answer.cookies[COOKIE]


def stream(house, *, cookie=None, origin=None):
    """Open the WebSocket of the pages as a browser does."""
    base = f"127.0.0.1:{house.port}"
    headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
    return connect(
        f"ws://{base}/_stcore/stream",
        subprotocols=["streamlit"],
        additional_headers=headers,
        origin=origin or f"http://{base}",
        max_size=None,
    )


def test_one_of_many_browsers_gets_in_by_a_link(house):
    house.cli("users", "add", "racer", "--role", "viewer")
    path = "/auth/login?" + house.cli("users", "link", "racer").stdout.strip().partition("?")[2]
    visitors = [house.visitor(pages=bool(n % 2)) for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda visitor: visitor.get(path).status_code, visitors))
    assert sorted(statuses) == [303] + [401] * 15


@pytest.mark.parametrize("path", ["/", "/performance", "/tasks?state=failed"])
def test_strangers_are_sent_to_the_sign_in_form(house, path):
    answer = house.visitor(pages=True).get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/auth/login")
    assert "Sign in" in house.visitor(pages=True).get(answer.headers["location"]).text


@pytest.mark.parametrize(
    "path",
    ["/_stcore/host-config", "/media/0123.pdf", "/component/x/y.js", "/api/tasks", "/api/openapi.json"],
)
def test_strangers_get_nothing_behind_the_pages(house, path):
    assert house.visitor(pages=True).get(path).status_code == 401


def test_strangers_upload_nothing(house):
    answer = house.visitor(pages=True).put("/_stcore/upload_file/session/file", files={"f": b"x"})
    assert answer.status_code == 401


def test_websocket_needs_a_session_of_ours(house, cookie):
    for wrong in ({}, {"cookie": "x" * 43}, {"cookie": cookie, "origin": "http://evil.example"}):
        with pytest.raises(InvalidStatus) as refused, stream(house, **wrong):
            pass
        assert refused.value.response.status_code == 403


def test_open_websocket_ends_with_its_session(house, cookie):
    with stream(house, cookie=cookie) as socket_:
        visitor = house.visitor(pages=True, cookies={COOKIE: cookie})
        origin = {"Origin": f"http://127.0.0.1:{house.port}"}
        assert visitor.post("/auth/logout", headers=origin).status_code == 303
        socket_.send(b"\x00anything")
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                socket_.recv(timeout=10)
    assert closed.value.rcvd.code == 4401


def test_one_session_serves_pages_and_api(house, cookie):
    for pages in (True, False):
        client = house.visitor(pages=pages, cookies={COOKIE: cookie})
        assert client.get("/api/tasks").status_code == 200


def test_a_page_on_another_port_cannot_write_with_the_cookie(house, cookie):
    client = house.visitor(cookies={COOKIE: cookie})
    there = {"Origin": f"http://127.0.0.1:{house.port}"}
    here = {"Origin": f"http://127.0.0.1:{house.api_port}"}
    body = {"report": "nothing"}
    assert client.post("/api/reports", json=body, headers=there).status_code == 403
    assert client.post("/api/reports", json=body).status_code == 403
    assert client.post("/api/reports", json=body, headers=here).status_code == 422


def raw(port, data):
    """Send bytes and return what comes back until the other side closes or has been silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
        try:
            connection.sendall(data)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
                if b"\r\n\r\n" in received:
                    break
        except (TimeoutError, ConnectionError):
            pass
        return received


@pytest.mark.parametrize("pages", [True, False])
@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\x16\x03\x01 not http at all\r\n\r\n",
        b"GET /../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /static/..%2f..%2f..%2fetc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%ff%fe%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /auth/login?next=%0d%0aSet-Cookie:%20x=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%0d%0aSet-Cookie:%20x=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nX-Correlation-ID: a\r b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a=b; " * 50_000 + b"\r\n\r\n",
        b"POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n",
        b"POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nOrigin: http://[::1\r\nCookie: offload_session=\xff\r\n\r\n",
    ],
)
def test_hostile_bytes_open_nothing_and_stop_nothing(house, data, pages):
    received = raw(house.port if pages else house.api_port, data)
    assert b"\r\nset-cookie: x=1" not in received.lower()
    assert b"root:" not in received
    assert not received.startswith((b"HTTP/1.1 5", b"HTTP/1.1 2")) or b"auth/login?next=%0d" in data
    assert house.visitor(pages=pages).get("/async-monitoring/health/").json() == {"status": "ok"}
