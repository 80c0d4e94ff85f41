import errno
import sqlite3

import pytest
from fastapi import Body, FastAPI
from pydantic import BaseModel, ConfigDict
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from engine import clock
from engine import errors as ours
from engine.web import errors
from engine.web.envelope import Envelope
from engine.web.limits import BodyLimit


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int


class Sent(BaseModel):
    model_config = ConfigDict(extra="forbid")
    items: list[Inner]


@pytest.fixture
def client(data_dir):
    app = FastAPI(middleware=[Middleware(Envelope), Middleware(BodyLimit)])
    errors.install(app)

    @app.post("/sent")
    def sent(body: Sent, limit: int = 1):
        return body

    @app.post("/raise")
    def fail(kind: str = Body(embed=True)):
        raise KINDS[kind]

    with TestClient(app) as client:
        yield client


KINDS = {
    "invalid": ours.InvalidInput("No.", fields={"a.b": "wrong"}),
    "unauthorized": ours.Unauthorized(),
    "forbidden": ours.Forbidden(),
    "missing": ours.NotFound(),
    "conflict": ours.Conflict(code="not_ready"),
    "limited": ours.RateLimited(retry_at_ms=clock.now_ms() + 60_000),
    "off": ours.Unavailable(),
    "large": ours.TooLarge(),
    "busy": sqlite3.OperationalError("database is locked"),
    "full": OSError(errno.ENOSPC, "No space left on device"),
    "unreadable": PermissionError(errno.EACCES, "Permission denied"),
    "other": ours.LeaseLost(),
}


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("invalid", 422, "invalid_input"),
        ("unauthorized", 401, "unauthorized"),
        ("forbidden", 403, "forbidden"),
        ("missing", 404, "not_found"),
        ("conflict", 409, "not_ready"),
        ("limited", 429, "rate_limited"),
        ("off", 503, "unavailable"),
        ("large", 413, "too_large"),
        ("busy", 503, "unavailable"),
        ("full", 503, "unavailable"),
        ("unreadable", 500, "internal_error"),
        ("other", 500, "lease_lost"),
    ],
)
def test_our_errors_have_their_status(client, kind, status, code):
    answer = client.post("/raise", json={"kind": kind})
    assert answer.status_code == status
    document = answer.json()
    assert set(document) == {"error", "correlation_id"}
    assert document["error"]["code"] == code
    assert document["error"]["message"]
    assert document["correlation_id"] == answer.headers["x-correlation-id"]


def test_invalid_input_names_the_fields(client):
    assert client.post("/raise", json={"kind": "invalid"}).json()["error"]["fields"] == {"a.b": "wrong"}


def test_rate_limit_says_when_it_opens(client):
    answer = client.post("/raise", json={"kind": "limited"})
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.json()["error"]["retry_at"].endswith("Z")


def test_locked_database_may_be_tried_again(client):
    assert client.post("/raise", json={"kind": "busy"}).headers["retry-after"] == "5"


def test_wrong_fields_are_dotted_paths_and_unknown_ones_are_refused(client):
    answer = client.post("/sent?limit=x", json={"items": [{"n": 1}, {"n": "two", "m": 3}], "more": 1})
    assert answer.status_code == 422
    assert set(answer.json()["error"]["fields"]) == {"items.1.n", "items.1.m", "more", "limit"}


@pytest.mark.parametrize(
    "body", [b"{", b'{"items": [}', b"\xff\xfe", b"[" * 100_000, b'{"items": [{"n": 1}]} x']
)
def test_what_is_not_json_is_400(client, body):
    answer = client.post("/sent", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in ("malformed_json", "bad_request")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"1", b'"text"', b'{"items": null}', b'{"items": {}}'])
def test_json_of_the_wrong_shape_is_422_with_a_field(client, body):
    answer = client.post("/sent", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"]["fields"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_that_is_not_called_json_is_415(client, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    answer = client.post("/sent", content=b'{"items": []}', headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_unknown_address_and_wrong_method_have_the_one_shape(client):
    assert client.get("/nothing").json()["error"]["code"] == "not_found"
    answer = client.get("/sent")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_body_over_the_limit_is_413_declared_or_not(client):
    large = b'{"items": [' + b" " * 1024 * 1024 + b"]}"
    headers = {"Content-Type": "application/json"}
    declared = client.post("/sent", content=large, headers=headers)
    streamed = client.post("/sent", content=iter([large]), headers=headers)
    for answer in (declared, streamed, client.post("/nothing", content=large)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_body_at_the_limit_passes(client):
    body = b'{"items": []' + b" " * (1024 * 1024 - 13) + b"}"
    assert len(body) == 1024 * 1024
    assert client.post("/sent", content=body, headers={"Content-Type": "application/json"}).status_code == 200
