import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from engine.errors import InvalidInput
from engine.lib import signing

# The example of the specification, its section "Symmetric signature scheme", also in its reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def verdict(**changes):
    given_ = {
        "message_id": MESSAGE_ID,
        "timestamp": str(TIMESTAMP),
        "signature": SIGNATURE,
        "body": BODY,
        "now_s": TIMESTAMP,
        "tolerance_s": 300,
    }
    secrets = changes.pop("secrets", [SECRET])
    return signing.why_invalid(secrets, **{**given_, **changes})


def test_signs_the_published_example():
    assert signing.sign([SECRET], MESSAGE_ID, TIMESTAMP, BODY) == SIGNATURE
    assert verdict() is None


@given(st.binary(min_size=24, max_size=64), st.text(max_size=200), st.integers(1, 4_000_000_000))
def test_agrees_with_the_standards_own_library(key, body, timestamp):
    secret = "whsec_" + base64.b64encode(key).decode()
    mine = signing.sign([secret], "msg_1", timestamp, body.encode())
    assert mine == Webhook(secret).sign("msg_1", datetime.fromtimestamp(timestamp, UTC), body)


def test_the_standards_own_library_accepts_our_headers():
    now = int(datetime.now(UTC).timestamp())
    old, new = signing.new_secret(), signing.new_secret()
    headers = signing.headers([new, old], "msg_1", now, b'{"a":1}')
    assert Webhook(old).verify('{"a":1}', headers) == Webhook(new).verify('{"a":1}', headers) == {"a": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_secret()).verify('{"a":1}', headers)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"body": BODY + b" "}, "no signature matches"),
        ({"message_id": "msg_other"}, "no signature matches"),
        ({"message_id": "msg_\udcff"}, "no signature matches"),
        ({"secrets": [signing.new_secret()]}, "no signature matches"),
        ({"signature": "v1,AAAA"}, "no signature matches"),
        ({"signature": "v1a," + SIGNATURE[3:]}, "no signature of version v1"),
        ({"signature": ""}, "a header is missing: webhook-id and webhook-signature are needed"),
        ({"signature": "v1,é"}, "no signature matches"),
        ({"now_s": TIMESTAMP + 301}, "the message is too old"),
        ({"now_s": TIMESTAMP - 301}, "the timestamp lies in the future"),
        ({"timestamp": "1614265330.9"}, "the timestamp is not a number of whole seconds"),
        ({"timestamp": "١"}, "the timestamp is not a number of whole seconds"),
    ],
)
def test_says_why_a_message_is_not_genuine(changes, reason):
    assert verdict(**changes) == reason


def test_the_tolerance_holds_both_ways():
    assert verdict(now_s=TIMESTAMP + 300) is None
    assert verdict(now_s=TIMESTAMP - 300) is None


def test_an_age_that_is_no_number_is_never_right():
    assert verdict(now_s=float("nan")) == "the message is too old"


def test_any_secret_and_any_signature_may_match():
    assert verdict(secrets=[signing.new_secret(), SECRET]) is None
    assert verdict(signature="v1a,x v1,AAAA " + SIGNATURE) is None


@pytest.mark.parametrize(
    "secret", ["whsec_", "", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", "whsec_abc", "whsec_é"]
)
def test_refuses_secrets_lenient_decoders_turn_into_another_key(secret):
    with pytest.raises(InvalidInput):
        signing.sign([secret], MESSAGE_ID, TIMESTAMP, BODY)


def test_a_chosen_secret_needs_prefix_and_length():
    assert signing.check_secret(SECRET) == SECRET
    for secret in (SECRET[6:], "whsec_" + base64.b64encode(b"x" * 23).decode(), "whsec_c2hvcnQ="):
        with pytest.raises(InvalidInput):
            signing.check_secret(secret)


@pytest.mark.parametrize("message_id", ["", "a.b", "a b", "a\n"])
def test_refuses_ids_that_would_make_the_signed_text_ambiguous(message_id):
    with pytest.raises(InvalidInput):
        signing.sign([SECRET], message_id, TIMESTAMP, BODY)


def test_new_secrets_and_ids_have_the_standards_form():
    assert len(base64.b64decode(signing.new_secret().removeprefix("whsec_"))) == 32
    message_id = signing.new_message_id()
    assert message_id.startswith("msg_")
    assert "." not in message_id
    assert message_id != signing.new_message_id()
