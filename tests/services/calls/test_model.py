import json

import pytest

from engine import registry, tasks
from engine.errors import InvalidInput
from engine.services.calls.model import ApiCall, describe, protect, reveal

URL = "https://api.example.com/v1/items"


@pytest.fixture(autouse=True)
def folder(data_dir):
    tasks.load()


def refused(**fields):
    with pytest.raises(InvalidInput) as caught:
        registry.get("api_call").parse({"url": URL, **fields})
    return caught.value.fields


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "https://x.internal/"}, "url"),
        ({"url": 5}, "url"),
        ({"method": "TRACE"}, "method"),
        ({"method": "CONNECT"}, "method"),
        ({"headers": {"Host": "a"}}, "headers"),
        ({"headers": {"X": "a\r\nb"}}, "headers"),
        ({"headers": {"X": 1}}, "headers.X"),
        ({"timeout_s": 121}, "timeout_s"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"retries": 10}, "retries"),
        ({"cache_ttl_s": -1}, "cache_ttl_s"),
        ({"method": "POST", "json": 1, "text": "a"}, "payload"),
        ({"json": {}}, "payload"),
        ({"params": {"a": {"b": 1}}}, "params.a"),
        ({"params": {"a": None}}, "params.a"),
        ({"params": {"a": [1, None]}}, "params.a"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_says_which_field_is_wrong(fields, path):
    assert path in refused(**fields)


def test_an_address_that_is_not_allowed_gives_nothing_away():
    assert refused(url="http://10.0.0.1/") == {"url": "address not allowed"}


def test_joins_the_address_and_its_params():
    call = ApiCall(url=f"{URL}?a=1#part", params={"b": [1, "x y"], "c": True, "d": 1.5})
    assert call.full_url == f"{URL}?a=1&b=1&b=x+y&c=true&d=1.5"
    assert ApiCall(url="https://Example.com").full_url == "https://Example.com/"


def test_counts_by_scheme_host_port_and_path():
    assert ApiCall(url="https://API.example.com/a?b=1").target == "https://api.example.com:443/a"
    assert ApiCall(url="http://api.example.com:8080").target == "http://api.example.com:8080/"


@pytest.mark.parametrize("path", ["/a%20b", "/./a b", "/x/../a%20b?q#f", "/%2e%2E/%61 b", "/a b/c/.."])
def test_another_spelling_of_a_path_has_no_limit_of_its_own(path):
    call = ApiCall(url="https://a.com" + path.replace(" ", "%20"))
    assert call.target == "https://a.com:443/a%20b"


def test_sends_json_or_text_with_a_type():
    call = ApiCall(method="post", url=URL, json={"ä": [1]})
    assert (call.method, call.content) == ("POST", '{"ä":[1]}'.encode())
    assert call.request().headers == {"Content-Type": "application/json"}
    own = ApiCall(method="PUT", url=URL, text="<a/>", headers={"content-type": "application/xml"})
    assert own.request().headers == {"content-type": "application/xml"}


def test_is_read_back_as_it_was_stored():
    call = ApiCall(method="POST", url=URL, json={"a": 1}, params={"n": 5}, retries=0)
    assert ApiCall.model_validate_json(registry.canonical(call)) == call


SECRETS = {
    "url": f"{URL}?api_key=topsecret&page=2",
    "headers": {"Authorization": "Bearer topsecret", "Accept": "text/plain"},
    "params": {"access_token": "topsecret", "q": "cats"},
}


def test_secrets_are_sealed_and_masked():
    sealed = protect("ann", ApiCall(**SECRETS))
    stored = registry.canonical(sealed)
    assert "topsecret" not in stored
    assert json.loads(stored)["headers"] == {"Authorization": "***", "Accept": "text/plain"}
    assert json.loads(stored)["url"] == f"{URL}?api_key=***&page=2"
    assert "topsecret" not in describe(sealed) + sealed.shown_url
    assert reveal("ann", ApiCall.model_validate_json(stored)) == ApiCall(**SECRETS)


def test_sealing_twice_is_sealing_once():
    twice = protect("ann", protect("ann", ApiCall(**SECRETS)))
    assert reveal("ann", twice) == ApiCall(**SECRETS)


def test_an_edited_secret_replaces_the_sealed_one():
    sealed = protect("ann", ApiCall(**SECRETS))
    edited = sealed.model_copy(update={"headers": {**sealed.headers, "Authorization": "Bearer new"}})
    found = reveal("ann", protect("ann", edited))
    assert found.headers["Authorization"] == "Bearer new"
    assert found.params["access_token"] == "topsecret"


def test_what_was_sealed_for_one_person_is_no_use_to_another():
    with pytest.raises(InvalidInput):
        protect("bob", protect("ann", ApiCall(**SECRETS)))


def test_secrets_are_not_sent_to_another_host():
    sealed = protect("ann", ApiCall(**SECRETS))
    moved = sealed.model_copy(update={"url": "https://evil.example.com/v1/items?api_key=***&page=2"})
    with pytest.raises(InvalidInput) as caught:
        protect("ann", moved)
    assert list(caught.value.fields) == ["url"]
    same = sealed.model_copy(update={"url": "https://API.example.com:443/other"})
    assert reveal("ann", same).headers["Authorization"] == "Bearer topsecret"


def test_a_call_without_secrets_stays_as_it_is():
    call = ApiCall(url=f"{URL}?page=2", headers={"Accept": "text/plain"})
    assert protect("ann", call) == call
