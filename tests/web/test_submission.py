from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, routing
from starlette.testclient import TestClient

from engine.web import actors, app
from engine.web.submission import Options, Submission
from engine.words import Actor, Role

DIRECT, GENERAL = "application/json", "application/vnd.offload+json"
"""FastAPI reads both; only the first is common enough to be read without it."""

BODIES = [
    b'{"type": "probe"}',
    b'{"type": "probe", "payload": {"note": "\\u00e9", "sleep_ms": 5}, "priority": 7}',
    b'{"type": "probe", "payload": {"note": "\\ud800"}}',
    b'{"type": "probe", "payload": {"sleep_ms": NaN}}',
    b'{"type": "probe", "priority": "3"}',
    b'{"type": "probe", "priority": 3.5}',
    b'{"type": "probe", "type": "report"}',
    b'{"type": "probe", "run_at": "2020-01-01T00:00:00Z"}',
    b'{"type": "probe", "run_at": 1800000000}',
    b'{"type": "probe", "webhooks": [{"url": "http://10.0.0.1/"}]}',
    b'{"type": "probe", "more": 1}',
    '{"type": "probe"}'.encode("utf-16"),
    b'\xef\xbb\xbf{"type": "probe"}',
    b'{"type": "\xff"}',
    b'{"priority": ' + b"9" * 5_000 + b"}",
    b"[" * 100_000,
    b'{"type"',
    b"null",
    b"[]",
    b"",
]
PASSING = {"task_id", "created_at", "correlation_id", "links"}


def outcome(client, body, content_type):
    answer = client.post("/api/tasks", content=body, headers={"Content-Type": content_type})
    return answer.status_code, {k: v for k, v in answer.json().items() if k not in PASSING}


@pytest.fixture
def olga(people):
    return people.by_token("olga", Role.OPS)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_body_means_the_same_read_directly_and_by_fastapi(olga, body):
    expected = outcome(olga, body, GENERAL)
    assert expected[0] in (202, 400, 422)
    assert outcome(olga, body, DIRECT) == outcome(olga, body, f"{DIRECT}; charset=utf-8") == expected


def test_body_that_is_in_order_passes_by_fastapi(olga, monkeypatch):
    original, solved = routing.solve_dependencies, []
    monkeypatch.setattr(
        routing, "solve_dependencies", lambda **given: solved.append(given["body"]) or original(**given)
    )
    outcome(olga, b'{"type": "probe"}', DIRECT)
    outcome(olga, b'{"more": 1}', DIRECT)
    assert solved == [{"more": 1}]


def test_route_that_takes_more_is_left_to_fastapi():
    router = APIRouter(route_class=Submission)

    @router.post("/more")
    async def more(body: Options, actor: Annotated[Actor, Depends(actors.signed_in)], dry: bool) -> bool:
        return dry

    plain = FastAPI()
    plain.dependency_overrides[actors.signed_in] = lambda: None
    plain.include_router(router)
    assert TestClient(plain).post("/more?dry=1", json={}).json() is True


def test_every_route_that_takes_options_is_of_the_class():
    routes = [route for router in app.routers() for route in router.routes]
    taking = {r.path for r in routes if "POST" in r.methods and "webhooks" in fields(r)}
    assert {r.path for r in routes if isinstance(r, Submission)} >= taking
    assert taking == {"/api/tasks", "/api/reports", "/api/calls", "/api/calls/bulk"}


def fields(route):
    annotation = route.body_field and route.body_field.field_info.annotation
    return getattr(annotation, "model_fields", ())
