import pytest
from fastapi.routing import APIRoute
from starlette.routing import Match

from engine.web import app
from engine.web.directory import Directory, folder_of

ROUTES = [route for router in app.routers() for route in router.routes]
DIRECTORY = Directory(ROUTES)


def scope_of(path, method, **more):
    return {"type": "http", "path": path, "method": method, **more}


def asked():
    return [(r.path_format.format_map(Anything()), method) for r in ROUTES for method in sorted(r.methods)]


class Anything(dict):
    def __missing__(self, name):
        return "17"


@pytest.mark.parametrize(("path", "method"), asked())
def test_finds_what_the_first_match_of_the_list_would_be(path, method):
    scope = scope_of(path, method)
    expected = next(inner for route in ROUTES for m, inner in [route.matches(scope)] if m is Match.FULL)
    assert DIRECTORY.matches(scope) == (Match.FULL, expected)
    assert isinstance(expected["route"], APIRoute)


@pytest.mark.parametrize(
    "scope",
    [
        scope_of("/api/tasks", "DELETE"),
        scope_of("/api/nothing", "GET"),
        scope_of("", "GET"),
        scope_of("/offload/api/tasks", "POST", root_path="/offload"),
        scope_of("/api/tasks", "POST", root_path="/api"),
        {"type": "websocket", "path": "/api/tasks"},
    ],
)
def test_leaves_to_the_list_what_it_does_not_know(scope):
    assert DIRECTORY.matches(scope)[0] is Match.NONE


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("/", "/"),
        ("/metrics", "/metrics"),
        ("/api/tasks", "/api/tasks"),
        ("/api/tasks/{task_id}/retry", "/api/tasks"),
        ("/async-monitoring/health/", "/async-monitoring/health"),
    ],
)
def test_a_folder_is_the_first_two_parts_of_a_path(path, folder):
    assert folder_of(path) == folder


def test_every_route_of_ours_can_be_looked_up():
    assert not [route.path for route in ROUTES if "{" in folder_of(route.path)]
