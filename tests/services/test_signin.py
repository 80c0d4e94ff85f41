import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine import clock, settings
from engine.errors import InvalidInput, RateLimited, Unauthorized
from engine.lib import passwords
from engine.queries import access as queries
from engine.records import db, sessions
from engine.services import access, signin
from engine.words import SYSTEM, Role

PASSWORD = "correct horse battery"
HERE = signin.Visit("10.1.1.1", "Firefox")


@pytest.fixture
def quick_hashes(monkeypatch):
    """Cheap argon2 parameters; the value lists the stored hashes that were compared with."""
    compared = []
    monkeypatch.setattr(passwords, "_hasher", passwords.PasswordHasher(1, 8, 1))
    passwords._nobody.cache_clear()
    original = passwords.matches

    def counted(stored, password):
        compared.append(stored)
        return original(stored, password)

    monkeypatch.setattr(passwords, "matches", counted)
    yield compared
    passwords._nobody.cache_clear()


@pytest.fixture
def anna(data_dir, quick_hashes):
    """A user with a password, signed in by a link; the value is the cookie."""
    path = access.add_user(SYSTEM, "anna", Role.STAFF)
    cookie = signin.by_link(path.partition("=")[2], HERE).cookie
    signin.set_password(cookie, PASSWORD)
    return cookie


def later(monkeypatch, seconds):
    now = clock.now_ms() / 1000
    monkeypatch.setattr(clock, "_wall", lambda: now + seconds)


def fail(name="anna", visit=HERE, password="wrong password"):
    with pytest.raises(Unauthorized) as refused:
        signin.by_password(name, password, visit)
    return refused.value


def test_password_signs_in_whatever_the_case_of_the_name(anna):
    assert signin.by_password("ANNA", PASSWORD, HERE).actor.name == "anna"


def test_wrong_password_and_unknown_user_look_the_same_and_cost_the_same(anna, quick_hashes):
    access.add_user(SYSTEM, "nopass", Role.STAFF)
    quick_hashes.clear()
    wrong, unknown, without = fail(), fail("norbert"), fail("nopass")
    assert (wrong.message, wrong.code) == (unknown.message, unknown.code) == (without.message, without.code)
    assert len(quick_hashes) == 3


def test_disabled_user_cannot_sign_in_by_password(anna):
    access.disable_user(SYSTEM, "anna")
    fail(password=PASSWORD)


def test_session_ends_after_its_hours(anna, monkeypatch):
    cookie = signin.by_password("anna", PASSWORD, HERE).cookie
    assert signin.session_actor(cookie)
    later(monkeypatch, settings.get().session_h * 3600 + 1)
    assert signin.session_actor(cookie) is None
    with db.main().write() as tx:
        assert sessions.remove_expired(tx, limit=10) == 2


def test_sign_out_ends_only_this_session(anna):
    other = signin.by_password("anna", PASSWORD, HERE).cookie
    signin.sign_out(anna)
    signin.sign_out(anna)
    assert signin.session_actor(anna) is None
    assert signin.session_actor(other)


def test_sign_out_everywhere_ends_all_sessions(anna):
    actor = signin.by_password("anna", PASSWORD, HERE).actor
    assert signin.sign_out_everywhere(actor) == 2
    assert signin.session_actor(anna) is None


def test_signing_in_again_replaces_the_session_of_the_browser(anna):
    signin.by_password("anna", PASSWORD, signin.Visit("10.1.1.1", replaces=anna))
    assert signin.session_actor(anna) is None


def test_guessed_links_never_wait_for_the_write_lock(data_dir, monkeypatch):
    db.main()
    monkeypatch.setattr(db.Database, "write", None)
    with pytest.raises(Unauthorized):
        signin.by_link("a guess", HERE)


def test_link_expires_after_24_hours(data_dir, monkeypatch):
    token = access.add_user(SYSTEM, "anna", Role.STAFF).partition("=")[2]
    later(monkeypatch, 24 * 3600 + 1)
    with pytest.raises(Unauthorized):
        signin.by_link(token, HERE)


def test_of_many_clients_racing_for_one_link_one_gets_in(data_dir):
    token = access.add_user(SYSTEM, "anna", Role.STAFF).partition("=")[2]
    together = threading.Barrier(8)

    def spend(_):
        together.wait()
        try:
            return signin.by_link(token, HERE).cookie
        except Unauthorized:
            return None

    with ThreadPoolExecutor(8) as pool:
        got = [cookie for cookie in pool.map(spend, range(8)) if cookie]
    assert len(got) == 1
    assert db.main().value("select count(*) from sessions") == 1


def test_refusals_write_as_much_for_unknown_names_as_for_known(anna):
    def rows_written(name):
        before = db.main().value("select count(*) from audit")
        fail(name)
        return db.main().value("select count(*) from audit") - before

    assert rows_written("anna") == rows_written("norbert") == 1


@pytest.mark.parametrize("token", ["", "x", "\ud800", "'; drop table users; --", "a" * 10_000_000])
def test_hostile_secrets_find_nobody(data_dir, token):
    with pytest.raises(Unauthorized):
        signin.by_link(token, HERE)
    assert signin.session_actor(token) is None
    assert signin.token_actor(token) is None


def test_eleventh_failure_from_one_address_is_refused_with_the_time_it_opens(anna, monkeypatch, quick_hashes):
    for _ in range(10):
        fail()
    quick_hashes.clear()
    begun = clock.now_ms()
    with pytest.raises(RateLimited) as refused:
        signin.by_password("anna", PASSWORD, HERE)
    assert quick_hashes == []
    assert begun < refused.value.retry_at_ms <= begun + 15 * 60_000
    elsewhere = signin.Visit("10.9.9.9")
    assert signin.by_password("anna", PASSWORD, elsewhere)  # a stranger does not lock her out
    later(monkeypatch, 15 * 60 + 1)
    assert signin.by_password("anna", PASSWORD, HERE)


def test_unknown_names_are_limited_as_known_ones(anna):
    for _ in range(10):
        fail("norbert")
    with pytest.raises(RateLimited):
        signin.by_password("norbert", PASSWORD, HERE)


def test_success_clears_the_count_of_the_pair(anna):
    for _ in range(9):
        fail()
    signin.by_password("anna", PASSWORD, HERE)
    for _ in range(9):
        fail()
    assert signin.by_password("anna", PASSWORD, HERE)


def test_tries_made_at_once_do_not_pass_together(anna):
    def attempt(_):
        try:
            signin.by_password("anna", "wrong password", HERE)
        except RateLimited:
            return "limited"
        except Unauthorized:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(24)))
    assert answers.count("refused") == 10


def test_one_name_is_limited_over_all_addresses(anna):
    for n in range(100):
        fail(visit=signin.Visit(f"10.2.0.{n}"))
    with pytest.raises(RateLimited):
        signin.by_password("anna", PASSWORD, signin.Visit("10.3.0.1"))


def test_one_address_is_limited_over_all_names(anna):
    for n in range(100):
        fail(f"user{n}")
    with pytest.raises(RateLimited):
        signin.by_password("anna", PASSWORD, HERE)


def test_setting_a_password_ends_the_other_sessions(anna):
    other = signin.by_password("anna", PASSWORD, HERE).cookie
    signin.set_password(other, "another good one", PASSWORD)
    assert signin.session_actor(other)
    assert signin.session_actor(anna) is None
    fail(password=PASSWORD)


def test_current_password_is_asked_for_unless_a_link_signed_in(anna):
    cookie = signin.by_password("anna", PASSWORD, HERE).cookie
    with pytest.raises(InvalidInput) as refused:
        signin.set_password(cookie, "another good one", "guess")
    assert set(refused.value.fields) == {"current"}
    signin.set_password(anna, "another good one")
    assert signin.by_password("anna", "another good one", HERE)


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_passwords_out_of_bounds_are_refused(anna, password):
    with pytest.raises(InvalidInput) as refused:
        signin.set_password(anna, password)
    assert set(refused.value.fields) == {"password"}


def test_hash_with_old_parameters_is_renewed_at_sign_in(anna, monkeypatch):
    before = queries.user("anna").password_hash
    monkeypatch.setattr(passwords, "_hasher", passwords.PasswordHasher(2, 8, 1))
    signin.by_password("anna", PASSWORD, HERE)
    after = queries.user("anna").password_hash
    assert before.startswith("$argon2id$v=19$m=8,t=1,")
    assert after.startswith("$argon2id$v=19$m=8,t=2,")
    assert signin.by_password("anna", PASSWORD, HERE)


def test_sign_ins_leave_audit_rows(anna):
    fail()
    fail("norbert")
    signin.by_password("anna", PASSWORD, HERE)
    signin.sign_out(anna)
    refused = [row.object for row in queries.audit() if row.actor == "nobody"]
    assert refused == ["unknown", "anna"]
    trail = [(row.actor, row.action) for row in reversed(queries.audit())]
    assert trail == [
        ("system", "user.add"),
        ("anna", "session.start"),
        ("anna", "password.set"),
        ("nobody", "session.refused"),
        ("nobody", "session.refused"),
        ("anna", "session.start"),
        ("anna", "session.end"),
    ]
