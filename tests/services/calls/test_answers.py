import json

import pytest

from engine.lib.http import Answer, Timing
from engine.services.calls.answers import document


def of(body, content_type="application/json", headers=()):
    return document(
        Answer(
            200, [("Content-Type", content_type), *headers], body, "https://a.com/?token=x", 1, 0, Timing()
        ),
        2,
    )


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b'{"a": [1]}', "application/json", {"json": {"a": [1]}, "text": None}),
        (b"[1]", "application/problem+json; charset=utf-8", {"json": [1], "text": None}),
        (b"{broken", "application/json", {"json": None, "text": "{broken"}),
        (b"[NaN]", "application/json", {"json": None, "text": "[NaN]"}),
        (b"[" * 100_000, "application/json", {"json": None, "text": "[" * 100_000}),
        ("grün".encode("latin-1"), "text/plain; charset=iso-8859-1", {"json": None, "text": "grün"}),
        ("grün".encode(), "text/html", {"json": None, "text": "grün"}),
        (b"a\xff", "text/plain", {"json": None, "text": "a\ufffd"}),
        (b"a", "text/plain; charset=nonsense", {"json": None, "text": "a"}),
        (b"\x89PNG\xff", "image/png", {"json": None, "text": None, "base64": "iVBOR/8="}),
        (b"", "application/json", {"json": None, "text": ""}),
        (b"[1e999]", "application/json", {"json": None, "text": "[1e999]"}),
        (b'{"a": "\\ud800b"}', "application/json", {"json": {"a": "?b"}, "text": None}),
        (b"a\\ud800", "text/plain; charset=unicode_escape", {"json": None, "text": "a\\ud800"}),
        (b"xn--aaaa\xff", "text/plain; charset=idna", {"json": None, "text": "xn--aaaa\ufffd"}),
        (b"a", "text/plain; charset=undefined", {"json": None, "text": "a"}),
        ("ab".encode("utf-16"), "text/plain; charset=utf-16", {"json": None, "text": "ab"}),
    ],
)
def test_a_body_is_json_text_or_base64(body, content_type, expected):
    found = of(body, content_type)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("depth", [100, 800, 950, 990])
def test_a_nested_body_can_be_written_again(depth):
    found = of(b"[" * depth + b"]" * depth)
    assert json.loads(json.dumps({"items": [{"result": found}]}))["items"][0]["result"] == found


def test_a_location_that_cannot_be_read_is_hidden():
    assert of(b"", headers=[("Location", "http://[?token=x")])["headers"]["location"] == "***"


def test_hides_cookies_and_secrets():
    found = of(b"", headers=[("Set-Cookie", "a=b"), ("X-Api-Key", "k"), ("ETag", "1"), ("etag", "2")])
    assert found["headers"] == {"content-type": "application/json", "x-api-key": "***", "etag": "1, 2"}
    assert found["url"] == "https://a.com/?token=***"
    assert found["tries"] == 2
