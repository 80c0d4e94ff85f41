import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidInput
from engine.lib.http import check_headers, is_secret, mask_headers, mask_url


def test_passes_ordinary_headers():
    headers = {"Accept": "application/json", "Authorization": "Bearer a.b-c=", "X-Empty": "", "X-A": "a b\tc"}
    assert check_headers(headers) == headers


@pytest.mark.parametrize(
    "name",
    [
        *[
            "Host",
            "content-length",
            "Transfer-Encoding",
            "Connection",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Upgrade",
        ],
        *[
            "Expect",
            "Proxy-Authorization",
            "proxy-connection",
            "Accept-Encoding",
            "Webhook-Id",
            "X-Forwarded-For",
        ],
        *["", "a b", "a:b", "ä", "a\r\nb", "a\0", "(x)"],
    ],
)
def test_refuses_names_that_are_ours_or_no_names(name):
    with pytest.raises(InvalidInput) as caught:
        check_headers({name: "x"})
    assert list(caught.value.fields) == [f"headers.{name}"]


@pytest.mark.parametrize(
    "value", ["a\r\nHost: b", "a\nb", "a\0", " a", "a ", "\ta", "ü", "a" * 8193, "a\x7f"]
)
def test_refuses_values_that_break_out_or_do_not_fit(value):
    with pytest.raises(InvalidInput):
        check_headers({"X-A": value})


def test_refuses_too_many_and_twice_the_same():
    assert len(check_headers({f"X-{i}": "a" for i in range(50)})) == 50
    with pytest.raises(InvalidInput):
        check_headers({f"X-{i}": "a" for i in range(51)})
    with pytest.raises(InvalidInput, match="not valid"):
        check_headers({"X-A": "1", "x-a": "2"})


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3))
def test_whatever_passes_cannot_break_a_message(headers):
    try:
        passed = check_headers(headers)
    except InvalidInput:
        return
    wire = "".join(f"{name}: {value}\r\n" for name, value in passed.items()).encode("ascii")
    assert wire.count(b"\n") == len(passed)
    assert wire.count(b"\r") == len(passed)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *[
            (n, True)
            for n in ("Authorization", "cookie", "Set-Cookie", "X-Api-Key", "X-Auth-Token", "Client-Secret")
        ],
        *[(n, False) for n in ("Accept", "Content-Type", "X-Request-Id", "Date")],
    ],
)
def test_knows_secrets_by_their_names(name, secret):
    assert is_secret(name) is secret
    assert mask_headers([(name, "value")]) == [(name, "***" if secret else "value")]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.com/p?x=1&api_key=abc&y=2#f", "https://a.com/p?x=1&api_key=***&y=2"),
        ("https://a.com/p?access%5Ftoken=abc", "https://a.com/p?access_token=***"),
        ("https://a.com/p?sig=a&sig=b", "https://a.com/p?sig=***&sig=***"),
        ("https://a.com/p?q=a+b%2F", "https://a.com/p?q=a+b%2F"),
        ("https://a.com", "https://a.com"),
        ("https://joe:pw@a.com/p", "https://***@a.com/p"),
        ("https://[a", "***"),
    ],
)
def test_hides_secret_parameters(url, shown):
    assert mask_url(url) == shown
