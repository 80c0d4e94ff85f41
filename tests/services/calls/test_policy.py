import pytest

from engine.lib.http import Answer, CallFailed, Timing
from engine.services.calls.model import ApiCall
from engine.services.calls.policy import again_after, backoff_s

URL = "https://api.example.com/"
NOW_S = 1_764_590_400  # Mon, 01 Dec 2025 12:00:00 GMT


@pytest.fixture(autouse=True)
def folder(data_dir):
    pass


def call(method="GET", **headers):
    return ApiCall(method=method, url=URL, headers={n.replace("_", "-"): v for n, v in headers.items()})


def answer(status, retry_after=None):
    headers = [("Retry-After", retry_after)] if retry_after else []
    return Answer(status, headers, b"", URL, 0, 0, Timing())


def failure(*, transient=True, sent=True):
    error = CallFailed("timeout", "x", transient=transient)
    error.sent = sent
    return error


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_idempotent_methods_are_repeated(method, status):
    assert again_after(call(method), answer(status), 1, NOW_S) is not None


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 403, 404, 409, 410, 422, 501, 505])
def test_other_answers_are_final(status):
    assert again_after(call(), answer(status), 1, NOW_S) is None


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_posts_are_repeated_only_when_nothing_was_taken(method):
    for status in (408, 425, 500, 502, 504):
        assert again_after(call(method), answer(status), 1, NOW_S) is None
    for status in (429, 503):
        assert again_after(call(method), answer(status), 1, NOW_S) is not None
    assert again_after(call(method), failure(sent=True), 1, NOW_S) is None
    assert again_after(call(method), failure(sent=False), 1, NOW_S) is not None


def test_an_idempotency_key_makes_a_post_repeatable():
    keyed = call("POST", Idempotency_Key="k1")
    assert again_after(keyed, answer(500), 1, NOW_S) is not None
    assert again_after(keyed, failure(sent=True), 1, NOW_S) is not None


def test_what_cannot_help_is_not_tried_again():
    assert again_after(call(), failure(transient=False, sent=False), 1, NOW_S) is None


def test_the_servers_wait_lengthens_ours_and_has_an_end():
    assert again_after(call(), answer(503, "30"), 1, NOW_S) >= 30
    assert again_after(call(), answer(429, "0"), 1, NOW_S) <= 1
    assert again_after(call(), answer(503, "7200"), 1, NOW_S) is None


def test_waits_have_full_jitter_and_a_cap():
    def highest(low, high):
        assert low == 0
        return high

    assert [backoff_s(n, highest) for n in (1, 2, 3, 7, 50)] == [1, 2, 4, 60, 60]
