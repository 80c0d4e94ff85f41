import re

import pytest

from engine import settings
from engine.lib import passwords
from engine.queries import access as queries
from engine.services import signin
from engine.web.routes.auth import safe_next
from engine.words import Role

FORM_ORIGIN = {"Origin": "http://testserver"}
PASSWORD = "correct horse battery"


@pytest.fixture
def quick_hashes(monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", passwords.PasswordHasher(1, 8, 1))
    passwords._nobody.cache_clear()
    yield
    passwords._nobody.cache_clear()


@pytest.fixture
def anna(people, quick_hashes):
    """A client signed in by a link, with a password set."""
    client = people.by_cookie("anna")
    answer = client.post("/auth/password", data={"password": PASSWORD, "repeat": PASSWORD, "next": "/tasks"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/tasks")
    return client


def login(client, password=PASSWORD, **more):
    return client.post(
        "/auth/login", data={"name": "anna", "password": password, **more}, headers=FORM_ORIGIN
    )


def test_link_signs_in_once_and_offers_to_set_a_password(people):
    path, client = people.link("anna", Role.STAFF), people.client()
    answer = client.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/auth/password?next=/"
    offer = client.get(answer.headers["location"])
    assert "Choose a password" in offer.text
    assert "Not now" in offer.text
    assert client.get("/async-monitoring/tasks/x/status/").status_code == 404
    again = people.client().get(path)
    assert again.status_code == 401
    assert "has been used or has expired" in again.text
    assert "set-cookie" not in again.headers


def test_cookie_is_closed_to_scripts_and_other_sites(people):
    cookie = people.client().get(people.link("anna", Role.STAFF)).headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/", "max-age=43200"} <= parts
    assert "secure" not in parts
    secret = re.match(r"offload_session=([\w-]+);", cookie).group(1)
    assert len(secret) == 43


@pytest.mark.parametrize("by", ["scheme", "setting"])
def test_cookie_is_secure_behind_https(people, monkeypatch, by):
    if by == "setting":
        monkeypatch.setenv("OFFLOAD_PUBLIC_URL", "https://offload.example")
        settings.get.cache_clear()
    base = "https://testserver" if by == "scheme" else "http://testserver"
    answer = people.client(base_url=base).get(people.link("anna", Role.STAFF))
    assert "secure" in answer.headers["set-cookie"].lower()


def test_browsers_looking_ahead_do_not_use_the_link_up(people):
    path, client = people.link("anna", Role.STAFF), people.client()
    assert client.get(path, headers={"Sec-Purpose": "prefetch;prerender"}).status_code == 425
    assert client.head(path).status_code == 405
    assert client.get(path).status_code == 303


def test_link_goes_on_to_the_page_asked_for(people):
    path = people.link("anna", Role.STAFF) + "&next=/performance%3Fperiod%3D1h"
    location = people.client().get(path).headers["location"]
    assert location == "/auth/password?next=/performance%3Fperiod%3D1h"


def test_password_signs_in(anna, people):
    client = people.client()
    answer = login(client, next="/performance")
    assert (answer.status_code, answer.headers["location"]) == (303, "/performance")
    assert client.get("/auth/login").headers["location"] == "/"


def test_signing_in_makes_a_new_session_and_ends_the_old(anna):
    before = anna.cookies["offload_session"]
    login(anna)
    assert anna.cookies["offload_session"] != before
    assert signin.session_actor(before) is None


def test_refused_sign_ins_read_the_same(anna, people):
    def told(name, password):
        answer = people.client().post(
            "/auth/login", data={"name": name, "password": password}, headers=FORM_ORIGIN
        )
        assert "set-cookie" not in answer.headers
        return answer.status_code, re.search(r'role="alert">([^<]+)<', answer.text).group(1)

    answers = {
        told("anna", "wrong password"),
        told("nobody", PASSWORD),
        told("", ""),
        told("<b>", "\x00\ud7ff"),
    }
    assert answers == {(401, "Name or password is wrong.")}


def test_too_many_failures_are_429(anna, people):
    client = people.client()
    assert {login(client, "wrong").status_code for _ in range(10)} == {401}
    assert login(client).status_code == 429


def test_what_was_typed_is_shown_escaped(people, quick_hashes):
    data = {"name": '"><script>alert(1)</script>', "password": "x", "next": '/"><script>'}
    text = people.client().post("/auth/login", data=data, headers=FORM_ORIGIN).text
    assert "<script" not in text


def test_pages_forbid_scripts_frames_and_caching(people):
    headers = people.client().get("/auth/login").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["cache-control"] == "no-store"


def test_sign_in_form_from_another_site_is_refused(anna, people):
    data = {"name": "anna", "password": PASSWORD}
    client = people.client()
    answer = client.post("/auth/login", data=data, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert client.post("/auth/login", data=data).status_code == 303  # a program says nothing of its origin


def test_sign_out_ends_the_session_and_takes_the_cookie(anna):
    cookie = anna.cookies["offload_session"]
    assert "Sign out?" in anna.get("/auth/logout").text
    assert signin.session_actor(cookie)
    answer = anna.post("/auth/logout")
    assert answer.headers["location"] == "/auth/login?signed_out=1"
    assert 'offload_session=""' in answer.headers["set-cookie"]
    assert signin.session_actor(cookie) is None
    assert "You are signed out." in anna.get(answer.headers["location"]).text


def test_changing_a_password_needs_the_current_one(anna, people):
    client = people.client(headers=FORM_ORIGIN)
    login(client)
    assert 'name="current"' in client.get("/auth/password").text
    new = {"password": "another good one", "repeat": "another good one"}
    assert client.post("/auth/password", data={**new, "current": "guess"}).status_code == 422
    assert client.post("/auth/password", data={**new, "current": PASSWORD}).status_code == 303
    assert login(people.client(), "another good one").status_code == 303


@pytest.mark.parametrize(
    ("password", "repeat", "said"),
    [
        ("short", "short", "at least 10"),
        ("x" * 300, "x" * 300, "at most 256"),
        ("a good one", "a bad one", "differ"),
    ],
)
def test_unfit_passwords_are_told_at_the_form(people, quick_hashes, password, repeat, said):
    client = people.by_cookie("anna")
    answer = client.post("/auth/password", data={"password": password, "repeat": repeat})
    assert answer.status_code == 422
    assert said in answer.text
    assert queries.user("anna").password_hash is None


def test_password_form_needs_a_session_not_a_token(people):
    for client in (people.client(headers=FORM_ORIGIN), people.by_token("anna")):
        assert client.get("/auth/password").headers["location"].startswith("/auth/login")
        assert client.post("/auth/password", data={"password": PASSWORD}).status_code == 401
    assert queries.user("anna").password_hash is None


@pytest.mark.parametrize("body", [b"", b"\xff\xff=%ff&&&==", b"name=a&name=b&password=%00", b"a=1&" * 50_000])
def test_hostile_forms_are_refused_in_the_open(people, quick_hashes, body):
    headers = {**FORM_ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
    assert people.client().post("/auth/login", content=body, headers=headers).status_code in (400, 401)


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x", "text/plain", ""])
def test_forms_of_another_kind_are_refused_in_the_open(people, quick_hashes, kind):
    headers = {**FORM_ORIGIN, "Content-Type": kind}
    answer = people.client().post("/auth/login", content=b"--x\r\nbroken", headers=headers)
    assert answer.status_code in (400, 401)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "evil",
        "",
        "/auth/logout",
        "/a\r\nSet-Cookie: x=1",
        "/" + "a" * 3000,
    ],
)
def test_only_paths_of_ours_are_gone_on_to(target):
    assert safe_next(target) == "/"


@pytest.mark.parametrize("target", ["/", "/tasks?state=failed&q=%20", "/performance#x", "/bücher"])
def test_paths_of_ours_are_kept(target):
    assert safe_next(target) == target
