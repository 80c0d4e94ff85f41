import json

import pytest
from click.testing import CliRunner

from engine.cli.users import command
from engine.errors import Conflict, InvalidInput, NotFound
from engine.services import access, signin
from engine.words import Role

LINK = "http://127.0.0.1:8501/auth/login?token="


@pytest.fixture
def run(data_dir):
    def run(*words):
        done = CliRunner().invoke(command, words, input="")
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return run


def test_add_prints_a_link_that_signs_in_and_nothing_else(run):
    printed = run("add", "anna", "--role", "ops").output
    assert printed.startswith(LINK)
    assert printed.count("\n") == 1
    token = printed.strip().partition("=")[2]
    assert signin.by_link(token, signin.Visit("here")).actor.role is Role.OPS


def test_link_uses_the_address_people_use(run, monkeypatch):
    monkeypatch.setenv("OFFLOAD_PUBLIC_URL", "https://offload.example/")
    run("add", "anna", "--role", "staff")
    assert run("link", "anna").output.startswith("https://offload.example/auth/login?token=")
    assert json.loads(run("link", "anna", "--format", "json").output)["name"] == "anna"


def test_link_leads_to_where_the_pages_were_last_started(run):
    access.remember_address("http://127.0.0.1:9000")
    assert run("add", "anna", "--role", "staff").output.startswith("http://127.0.0.1:9000/auth/login?token=")


def test_sign_out_ends_the_sessions_and_keeps_the_tokens(run):
    link = run("add", "anna", "--role", "staff").output.strip()
    token = run("token", "anna").output.strip()
    cookie = signin.by_link(link.partition("=")[2], signin.Visit("here")).cookie
    assert run("sign-out", "anna").output == "1 sessions ended.\n"
    assert signin.session_actor(cookie) is None
    assert signin.token_actor(token)


def test_token_prints_the_token_alone(run):
    run("add", "anna", "--role", "staff")
    printed = run("token", "anna").output
    assert printed.startswith("ofl_")
    assert len(printed.split()) == 1
    assert signin.token_actor(printed.strip()).name == "anna"


def test_list_shows_roles_and_no_secrets(run):
    run("add", "anna", "--role", "staff")
    run("role", "anna", "admin")
    (item,) = json.loads(run("list", "--format", "json").output)["items"]
    assert (item["name"], item["role"], item["has_password"]) == ("anna", "admin", False)
    assert "password_hash" not in item
    assert "anna" in run("list").output


def test_tokens_are_listed_and_revoked(run):
    run("add", "anna", "--role", "staff")
    token = run("token", "anna", "--label", "nightly").output.strip()
    (item,) = json.loads(run("tokens", "anna", "--format", "json").output)["items"]
    assert (item["name"], item["label"]) == ("anna", "nightly")
    run("revoke", item["token_id"])
    assert signin.token_actor(token) is None


def test_people_are_shut_out_and_let_back_in(run):
    run("add", "anna", "--role", "staff")
    run("disable", "anna")
    with pytest.raises(Conflict):
        run("link", "anna")
    run("enable", "anna")
    assert run("link", "anna").output.startswith(LINK)


def test_mistakes_are_told(run):
    run("add", "anna", "--role", "admin")
    for error, words in (
        (Conflict, ("add", "anna", "--role", "staff")),
        (InvalidInput, ("add", "an na", "--role", "staff")),
        (NotFound, ("link", "bob")),
        (NotFound, ("role", "bob", "staff")),
        (NotFound, ("token", "bob")),
        (Conflict, ("role", "anna", "viewer")),
    ):
        with pytest.raises(error):
            run(*words)
    assert run("add", "bob", "--role", "king").exit_code == 2
    assert run("add", "bob").exit_code == 2
