import pytest

from engine.services.calls import cache
from engine.services.calls.model import ApiCall
from tests.engine_kit import ANN

URL = "https://api.example.com/items"
DOCUMENT = {"status": 200, "ok": True, "json": {"a": 1}}


@pytest.fixture(autouse=True)
def folder(data_dir):
    pass


def call(**fields):
    return ApiCall(**{"url": URL, "cache_ttl_s": 60, **fields})


def test_gives_back_what_was_kept_until_it_ends(wall):
    assert cache.keep("ann", call(), [], DOCUMENT)
    assert cache.find("ann", call()).document == DOCUMENT
    wall.advance(59.9)
    assert cache.holds("ann", call())
    wall.advance(0.2)
    assert cache.find("ann", call()) is None


@pytest.mark.parametrize(
    "other",
    [
        {"url": f"{URL}?a=1"},
        {"params": {"a": 1}},
        {"headers": {"Authorization": "Bearer b"}},
        {"headers": {"Accept": "text/plain"}},
        {"method": "HEAD"},
    ],
)
def test_nothing_that_may_change_the_answer_is_overlooked(other):
    cache.keep("ann", call(headers={"Authorization": "Bearer a"}), [], DOCUMENT)
    assert cache.find("ann", call(**{"headers": {"Authorization": "Bearer a"}, **other})) is None


def test_is_never_shared_between_people():
    cache.keep("ann", call(), [], DOCUMENT)
    assert cache.find("bob", call()) is None


@pytest.mark.parametrize(
    "headers",
    [
        [("Cache-Control", "no-store")],
        [("cache-control", "max-age=60, private")],
        [("Cache-Control", "no-cache")],
        [("Set-Cookie", "a=b")],
        [("Vary", "*")],
        [("Cache-Control", "public"), ("Cache-Control", "no-store")],
        [("Cache-Control", "max-age=0")],
        [("Vary", "Accept, *")],
        [("Vary", "Accept"), ("Vary", "*")],
        [("Expires", "0")],
        [("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")],
        [("Cache-Control", "max-age=60"), ("Age", "60")],
    ],
)
def test_obeys_the_server(headers):
    assert not cache.keep("ann", call(), headers, DOCUMENT)
    assert cache.find("ann", call()) is None


def test_the_shorter_time_counts(wall):
    assert cache.time_to_live_s(call(), 200, [("Cache-Control", "max-age=30")]) == 30
    assert cache.time_to_live_s(call(), 200, [("Cache-Control", "max-age=300")]) == 60
    assert cache.time_to_live_s(call(), 200, []) == 60
    dates = [("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Expires", "Sun, 06 Nov 1994 08:49:57 GMT")]
    assert cache.time_to_live_s(call(), 200, dates) == 20
    assert cache.time_to_live_s(call(), 200, [*dates, ("Age", "5")]) == 15
    assert cache.time_to_live_s(call(), 200, [*dates, ("Cache-Control", "max-age=40")]) == 40


@pytest.mark.parametrize(
    ("fields", "status"), [({}, 500), ({}, 204), ({"method": "POST"}, 200), ({"cache_ttl_s": 0}, 200)]
)
def test_keeps_only_what_may_be_repeated(fields, status):
    assert not cache.keep("ann", call(**fields), [], {**DOCUMENT, "status": status})


def test_a_large_answer_is_not_kept():
    assert not cache.keep("ann", call(), [], {**DOCUMENT, "text": "x" * 1024 * 1024})


def test_forgetting_is_per_person():
    cache.keep("ann", call(), [], DOCUMENT)
    cache.keep("bob", call(), [], DOCUMENT)
    assert cache.forget(ANN) == 1
    assert cache.holds("bob", call())
    assert not cache.holds("ann", call())


@pytest.fixture
def few(monkeypatch):
    from engine.records import responses

    monkeypatch.setattr(responses, "MOST", 3)


def test_the_cache_is_bounded(few):
    for number in range(6):
        cache.keep("ann", call(params={"n": number}), [], DOCUMENT)
    assert [cache.holds("ann", call(params={"n": n})) for n in range(6)].count(True) == 3
