import hashlib
import sqlite3

import pytest

from engine.errors import Conflict, Forbidden, InvalidInput, NotFound
from engine.queries import access as queries
from engine.records import db
from engine.services import access, signin
from engine.words import SYSTEM, Actor, Role

STAFF = Actor("sam", Role.STAFF)
TRAIL = ["user.add", "token.add", "user.role", "user.disable", "user.enable"]


def link_token(path):
    assert path.startswith("/auth/login?token=")
    return path.partition("=")[2]


def enter(path):
    return signin.by_link(link_token(path), signin.Visit("127.0.0.1"))


def everything_stored(data_dir):
    connection = sqlite3.connect(data_dir / "offload.db")
    try:
        return "\n".join(connection.iterdump())
    finally:
        connection.close()


def test_added_user_signs_in_by_the_link_once(data_dir):
    path = access.add_user(SYSTEM, "anna", Role.STAFF)
    assert enter(path).actor == Actor("anna", Role.STAFF, "session")
    with pytest.raises(Exception, match="used or has expired"):
        enter(path)


def test_user_names_are_unique_whatever_their_case(data_dir):
    access.add_user(SYSTEM, "Anna", Role.STAFF)
    with pytest.raises(Conflict):
        access.add_user(SYSTEM, "anna", Role.ADMIN)
    assert [(u.name, u.role) for u in queries.users()] == [("Anna", Role.STAFF)]
    assert access.new_token(SYSTEM, "ANNA").startswith("ofl_")


@pytest.mark.parametrize(
    "name",
    ["", " anna", "an na", "anna\n", "../anna", "ännä", "a" * 65, "-anna", "a\x00b", "system", "Nobody"],
)
def test_names_that_are_no_user_names_are_refused(data_dir, name):
    with pytest.raises(InvalidInput) as refused:
        access.add_user(SYSTEM, name, Role.STAFF)
    assert set(refused.value.fields) == {"name"}
    assert queries.users() == []


def test_only_administrators_manage_people(data_dir):
    access.add_user(SYSTEM, "sam", Role.STAFF)
    access.add_user(SYSTEM, "eve", Role.STAFF)
    for act in (
        lambda: access.add_user(STAFF, "bob", Role.ADMIN),
        lambda: access.new_link(STAFF, "eve"),
        lambda: access.set_role(STAFF, "sam", Role.ADMIN),
        lambda: access.new_token(STAFF, "eve"),
        lambda: access.disable_user(STAFF, "eve"),
        lambda: access.revoke_token(STAFF, "x"),
    ):
        with pytest.raises(Forbidden):
            act()
    assert access.new_token(STAFF, "sam")  # one's own token is one's own business


def test_unknown_users_are_not_found(data_dir):
    for act in (
        lambda: access.new_link(SYSTEM, "nobody"),
        lambda: access.set_role(SYSTEM, "nobody", Role.OPS),
        lambda: access.new_token(SYSTEM, "nobody"),
        lambda: access.disable_user(SYSTEM, "nobody"),
        lambda: access.revoke_token(SYSTEM, "nothing"),
    ):
        with pytest.raises(NotFound):
            act()


def test_token_is_256_bits_and_stored_as_sha256_only(data_dir):
    access.add_user(SYSTEM, "anna", Role.OPS)
    token = access.new_token(SYSTEM, "anna", "nightly")
    assert len(token) == len("ofl_") + 43  # 32 bytes in base64 without padding
    stored = everything_stored(data_dir)
    assert token not in stored
    assert hashlib.sha256(token.encode()).hexdigest() in stored
    assert signin.token_actor(token) == Actor("anna", Role.OPS, "token")


def test_revoked_token_ends_at_once(data_dir):
    access.add_user(SYSTEM, "anna", Role.OPS)
    token, other = access.new_token(SYSTEM, "anna"), access.new_token(SYSTEM, "anna")
    ids = {t.id for t in queries.tokens("anna")}
    access.revoke_token(SYSTEM, ids.pop())
    assert [signin.token_actor(t) for t in (token, other)].count(None) == 1


def test_new_role_counts_from_the_next_request_on(data_dir):
    cookie = enter(access.add_user(SYSTEM, "anna", Role.STAFF)).cookie
    access.set_role(SYSTEM, "anna", Role.VIEWER)
    assert signin.session_actor(cookie).role is Role.VIEWER


def test_last_administrator_can_neither_be_demoted_nor_shut_out(data_dir):
    access.add_user(SYSTEM, "root1", Role.ADMIN)
    for act in (
        lambda: access.set_role(SYSTEM, "root1", Role.OPS),
        lambda: access.disable_user(SYSTEM, "root1"),
    ):
        with pytest.raises(Conflict) as refused:
            act()
        assert refused.value.code == "last_administrator"
    access.add_user(SYSTEM, "root2", Role.ADMIN)
    access.set_role(SYSTEM, "root1", Role.OPS)
    with pytest.raises(Conflict):
        access.disable_user(SYSTEM, "root2")


def test_shut_out_user_loses_sessions_tokens_and_links(data_dir):
    cookie = enter(access.add_user(SYSTEM, "anna", Role.OPS)).cookie
    token, link = access.new_token(SYSTEM, "anna"), access.new_link(SYSTEM, "anna")
    access.disable_user(SYSTEM, "anna")
    assert signin.session_actor(cookie) is None
    assert signin.token_actor(token) is None
    with pytest.raises(Exception, match="used or has expired"):
        enter(link)
    with pytest.raises(Conflict):
        access.new_link(SYSTEM, "anna")
    access.enable_user(SYSTEM, "anna")
    assert signin.token_actor(token) is None
    assert enter(access.new_link(SYSTEM, "anna")).actor.name == "anna"


def test_first_link_is_given_until_an_administrator_has_signed_in(data_dir):
    first, second = access.first_link(), access.first_link()
    assert first != second
    assert [(u.name, u.role) for u in queries.users()] == [("admin", Role.ADMIN)]
    assert enter(second).actor == Actor("admin", Role.ADMIN, "session")
    assert access.first_link() is None


def test_first_link_goes_to_an_administrator_who_exists(data_dir):
    access.add_user(SYSTEM, "admin", Role.VIEWER)
    access.add_user(SYSTEM, "boss", Role.ADMIN)
    assert enter(access.first_link()).actor.name == "boss"


def test_first_link_does_not_raise_somebody_called_admin(data_dir):
    enter(access.add_user(SYSTEM, "admin", Role.VIEWER))
    assert enter(access.first_link()).actor == Actor("admin2", Role.ADMIN, "session")


def test_each_action_leaves_an_audit_row_without_the_secret(data_dir):
    admin = Actor("boss", Role.ADMIN, "token")
    link = access.add_user(admin, "anna", Role.STAFF)
    token = access.new_token(admin, "anna", "ci")
    access.set_role(admin, "anna", Role.OPS)
    access.disable_user(admin, "anna")
    access.enable_user(admin, "anna")
    rows = queries.audit()
    assert [row.action for row in reversed(rows)] == TRAIL
    assert {(row.actor, row.via, row.object) for row in rows} == {("boss", "token", "anna")}
    assert rows[2].detail == {"from": "staff", "to": "ops"}
    stored = everything_stored(data_dir)
    assert token not in stored
    assert link_token(link) not in stored


def test_audit_pages_backwards(data_dir):
    for n in range(5):
        access.add_user(SYSTEM, f"user{n}", Role.STAFF)
    newest = queries.audit(limit=2)
    assert [row.object for row in newest] == ["user4", "user3"]
    assert [row.object for row in queries.audit(limit=9, before_id=newest[-1].id)] == [
        "user2",
        "user1",
        "user0",
    ]
    assert db.main().value("select count(*) from audit") == 5
