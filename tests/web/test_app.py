import subprocess
import sys

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient

from engine.services import monitor
from engine.web import app, limits
from engine.words import Role


async def page(scope, receive, send):
    await PlainTextResponse("page")(scope, receive, send)


def test_each_module_in_routes_is_found():
    assert len(app.routers()) >= 3


def test_mounted_interface_takes_its_own_paths_and_leaves_the_rest(data_dir):
    client = TestClient(Starlette(routes=[*app.MOUNTED, Mount("/", page)]))
    assert client.get("/async-monitoring/health/").json() == {"status": "ok"}
    assert client.get("/api/nothing").json()["error"]["code"] == "not_found"
    for path in ("/", "/performance", "/api_calls", "/authors", "/metricsx"):
        assert client.get(path).text == "page"


def test_api_alone_leads_to_its_documentation(data_dir, people):
    client = people.by_cookie("anna")
    with TestClient(app.api, follow_redirects=False) as alone:
        assert alone.get("/").headers["location"] == "/auth/login"
        alone.cookies = client.cookies
        assert alone.get("/").headers["location"] == "/api/docs"


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        ("/api/tasks/", "/api/tasks"),
        ("/metrics/", "/metrics"),
        ("/async-monitoring/health", "/async-monitoring/health/"),
        ("/async-monitoring/health/", "/async-monitoring/health/"),
        ("/", "/"),
        ("/api/tasks", "/api/tasks"),
    ],
)
def test_a_path_has_one_spelling(path, spelled):
    assert limits.spelled(path) == spelled


def test_a_slash_too_many_or_missing_changes_nothing(people):
    client = people.by_token("anna", Role.OPS)
    made = [client.post(path, json={"type": "probe"}) for path in ("/api/tasks", "/api/tasks/")]
    assert [answer.status_code for answer in made] == [202, 202]
    for path in ("/async-monitoring/tasks/{}/status", "/async-monitoring/tasks/{}/status/", "/api/tasks/{}/"):
        found = client.get(path.format(made[0].json()["task_id"]))
        assert found.json()["task_id"] == made[0].json()["task_id"]


def test_wrong_method_is_told_every_right_one(people):
    client = people.by_token("anna")
    assert client.put("/api/tasks").headers["allow"] == "GET, HEAD, POST"
    assert client.get("/async-monitoring/tasks/x/cancel").headers["allow"] == "POST"


def test_head_answers_as_get_without_the_body_and_under_its_route(people, monkeypatch):
    recorded = []
    monkeypatch.setattr(monitor, "record", recorded.append)
    client = people.by_token("anna")
    for path in ("/async-monitoring/health", "/api/tasks", "/api/openapi.json"):
        got, headed = client.get(path), client.head(path)
        assert (headed.status_code, headed.headers["content-length"]) == (200, str(len(got.content)))
    assert client.head("/async-monitoring/tasks/x/stream/").status_code == 405
    assert client.head("/api/tasks/nothing").status_code == 404
    assert {(unit.method, unit.name) for unit in recorded} >= {
        ("HEAD", "/async-monitoring/health/"),
        ("HEAD", "/api/tasks"),
    }


def test_api_process_does_not_load_streamlit_or_weasyprint():
    code = "import sys, engine.web.app; print({'streamlit', 'weasyprint', 'altair'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
