import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from engine import settings
from engine.queries import access as queries
from engine.services import access, signin
from engine.web import app, guard
from engine.words import SYSTEM, Role
from tests.web.conftest import ORIGIN, People

HEALTH = "/async-monitoring/health/"


async def anything(request):
    return PlainTextResponse(getattr(request.state.actor, "name", "nobody"))


async def echo(websocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


@pytest.fixture
def streamlit(data_dir):
    """The guard before an application that answers like Streamlit: a page for every path, and a WebSocket."""
    routes = [
        WebSocketRoute("/_stcore/stream", echo),
        Route("/{path:path}", anything, methods=["GET", "POST", "PUT", "DELETE"]),
    ]
    return People(Starlette(routes=routes, middleware=list(app.OUTER)))


@pytest.mark.parametrize(
    "path",
    [
        "/api/tasks",
        "/api/openapi.json",
        "/api/nothing",
        "/async-monitoring/admin/monitoring/",
        "/metrics",
        "/media/abc.pdf",
        "/component/x/index.html",
    ],
)
def test_machines_without_a_session_get_401_in_the_one_shape(streamlit, path):
    answer = streamlit.client().get(path)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]


@pytest.mark.parametrize("path", ["/_stcore/upload_file/a/b", "/_stcore/host-config", "/_stcore/metrics"])
def test_open_page_without_a_session_is_told_what_to_do(streamlit, path):
    answer = streamlit.client().get(path)
    assert answer.status_code == 401
    assert answer.text == "You are signed out. Reload this page to sign in."
    assert answer.headers["content-type"].startswith("text/plain")  # Streamlit shows the body as it comes


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/", "/auth/login"),
        ("/performance", "/auth/login?next=/performance"),
        ("/tasks?state=failed&q=a b", "/auth/login?next=/tasks%3Fstate%3Dfailed%26q%3Da%20b"),
        ("/%2e%2e/etc", "/auth/login?next=/../etc"),
        ("//evil.example/", "/auth/login?next=//evil.example/"),
    ],
)
def test_people_without_a_session_are_sent_to_sign_in(streamlit, path, location):
    answer = streamlit.client().get(f"http://testserver{path}")
    assert answer.status_code == 303
    assert answer.headers["location"].replace("%2520", "%20") == location


def test_browser_navigation_to_a_download_is_sent_to_sign_in(streamlit):
    answer = streamlit.client().get("/api/reports/1/pdf", headers={"Sec-Fetch-Mode": "navigate"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/auth/login?next=/api/reports/1/pdf"


def test_writes_without_a_session_are_refused_not_redirected(streamlit):
    assert streamlit.client().post("/", headers=ORIGIN).status_code == 401


@pytest.mark.parametrize(
    "path", ["/auth/login", "/static/js/main.js", "/favicon.png", "/_stcore/health", HEALTH]
)
def test_public_addresses_need_no_session(streamlit, path):
    assert streamlit.client().get(path).text == "nobody"


@pytest.mark.parametrize("path", ["/authx", "/staticx", "/auth_x/", "/_stcore/healthx", "/favicon.png/x"])
def test_addresses_that_only_look_public_are_not(streamlit, path):
    assert streamlit.client().get(path).status_code in (303, 401)


def test_cookie_and_token_say_who_asks(streamlit):
    assert streamlit.by_cookie("anna").get("/performance").text == "anna"
    assert streamlit.by_token("bob").get("/performance").text == "bob"


def test_wrong_token_is_refused_even_beside_a_good_cookie(streamlit):
    client = streamlit.by_cookie("anna")
    answer = client.get("/api/tasks", headers={"Authorization": "Bearer ofl_wrong"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_not_valid")


@pytest.mark.parametrize("value", ["x", "a" * 5000, "\x7f", '"quoted"', "'; drop table sessions; --"])
def test_hostile_cookies_and_tokens_are_nobody(streamlit, value):
    client = streamlit.client()
    for headers in ({"Cookie": f"offload_session={value}"}, {"Authorization": f"Bearer {value}"}):
        assert client.get("/api/tasks", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver:8502"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "http://[::1"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_cookie_writes_from_elsewhere_are_refused(streamlit, method, headers):
    client = streamlit.by_cookie("anna")
    del client.headers["origin"]
    answer = client.request(method, "/_stcore/upload_file/1/2", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_origin")


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://testserver"}, {"Origin": "https://testserver"}, {"Sec-Fetch-Site": "same-origin"}],
)
def test_cookie_writes_from_our_own_pages_pass(streamlit, headers):
    client = streamlit.by_cookie("anna")
    del client.headers["origin"]
    assert client.post("/x", headers=headers).text == "anna"


def test_public_url_is_an_origin_of_ours(streamlit, monkeypatch):
    monkeypatch.setenv("OFFLOAD_PUBLIC_URL", "https://offload.example")
    settings.get.cache_clear()
    client = streamlit.by_cookie("anna")
    assert client.post("/x", headers={"Origin": "https://offload.example"}).status_code == 200
    assert client.post("/x", headers={"Origin": "http://offload.example"}).status_code == 403


def test_token_writes_need_no_origin(streamlit):
    client = streamlit.by_token("anna")
    assert client.post("/x", headers={"Origin": "http://elsewhere.example"}).text == "anna"


def test_websocket_without_a_session_is_refused_before_it_opens(streamlit):
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        streamlit.client().websocket_connect("/_stcore/stream"),
    ):
        pass
    assert refused.value.code == 4401


def test_websocket_of_another_site_is_refused(streamlit):
    client = streamlit.by_cookie("anna")
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/_stcore/stream", headers={"Origin": "http://evil.example"}),
    ):
        pass
    assert refused.value.code == 4403


def test_open_websocket_closes_when_its_session_is_revoked(streamlit):
    client = streamlit.by_cookie("anna")
    with client.websocket_connect("/_stcore/stream") as socket:
        socket.send_text("rerun")
        assert socket.receive_text() == "rerun"
        signin.sign_out(client.cookies["offload_session"])
        socket.send_text("rerun")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 4401


def test_revoked_token_and_changed_role_count_at_once(streamlit):
    client = streamlit.by_token("anna")
    assert client.get("/x").text == "anna"
    access.revoke_token(SYSTEM, queries.tokens("anna")[0].id)
    assert client.get("/api/x").status_code == 401


def test_bearer_goes_before_cookie_and_other_schemes_do_not_count():
    cookie = "offload_session=c"
    assert guard.offered(Headers({"authorization": "bearer  t ", "cookie": cookie})).secret == "t"
    assert guard.offered(Headers({"authorization": "Basic eA==", "cookie": cookie})).kind == "session"
    assert guard.offered(Headers({"cookie": "other=1"})) is None


def test_secrets_do_not_show_in_what_is_logged():
    assert "hush" not in repr(guard.Credential("token", "hush"))
    assert "hush" not in repr(signin.Visit("here", replaces="hush"))


def test_viewer_passes_the_gate_too(streamlit):
    assert streamlit.by_cookie("vera", Role.VIEWER).get("/").text == "vera"
