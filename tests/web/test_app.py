import subprocess
import sys

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient

from engine.web import app


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


def test_api_process_does_not_load_streamlit_or_weasyprint():
    code = "import sys, engine.web.app; print({'streamlit', 'weasyprint', 'altair'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
