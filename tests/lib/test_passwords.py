from engine.lib import passwords


def test_real_parameters_follow_rfc_9106_for_little_memory():
    stored = passwords.hash_password("correct horse battery")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.matches(stored, "correct horse battery")
    assert not passwords.matches(stored, "correct horse batterx")
    assert not passwords.outdated(stored)


def test_no_hash_and_a_broken_hash_match_nothing():
    assert not passwords.matches(None, "")
    assert not passwords.matches("not a hash", "x")


def test_text_that_is_no_utf8_is_compared_not_refused():
    assert not passwords.matches(passwords.hash_password("plain password"), "\ud800")
