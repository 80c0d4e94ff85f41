"""Webhook signatures after Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks).

Signed is `id.timestamp.body` with HMAC-SHA256; the header value is `v1,` and the digest in base64, several
separated by blanks while a secret is being rotated.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence

from engine.errors import InvalidInput

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix, not a secret
_SECRET_BYTES = 32
_SECRET_SIZES = range(24, 65)
"""Bytes a new secret must have (the standard's advice)."""
_ID_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789"
_VERSION = "v1,"


def new_secret() -> str:
    """Make a secret of 256 random bits, in the form people copy."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def new_message_id() -> str:
    """Make the id of one event; it stays the same over attempts and replays."""
    return "msg_" + "".join(secrets.choice(_ID_CHARS) for _ in range(26))


def check_secret(secret: str) -> str:
    """Return a chosen secret; raise InvalidInput unless it is `whsec_` and base64 of 24 to 64 bytes."""
    if not secret.startswith(SECRET_PREFIX) or len(_key(secret)) not in _SECRET_SIZES:
        message = "A secret is `whsec_` and 24 to 64 random bytes in base64."
        raise InvalidInput(message, fields={"secret": message}, code="secret")
    return secret


def sign(secret_list: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the `webhook-signature` header; `timestamp` is in whole seconds since 1970.

    Raises InvalidInput for a secret that is not base64 and for an id with a dot, which would be ambiguous.
    """
    if not message_id or not re.fullmatch(r"[!-\-/-~]+", message_id):
        raise InvalidInput("A message id holds visible ASCII characters and no dot.", code="message_id")
    return " ".join(_VERSION + _digest(secret, message_id, str(timestamp), body) for secret in secret_list)


def headers(secret_list: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a signed message."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret_list, message_id, timestamp, body),
    }


def why_invalid(
    secret_list: Sequence[str],
    *,
    message_id: str,
    timestamp: str,
    signature: str,
    body: bytes,
    now_s: float,
    tolerance_s: float,
) -> str | None:
    """Return why a received message is not to be believed, or None when one secret confirms it.

    The timestamp must be within `tolerance_s` of `now_s` both ways: an old message may be a replay.
    """
    if not message_id or not signature.strip():
        return "a header is missing: webhook-id and webhook-signature are needed"
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return "the timestamp is not a number of whole seconds"
    if not int(timestamp) >= now_s - tolerance_s:
        return "the message is too old"
    if not int(timestamp) <= now_s + tolerance_s:
        return "the timestamp lies in the future"
    given = [part.removeprefix(_VERSION) for part in signature.split() if part.startswith(_VERSION)]
    if not given:
        return "no signature of version v1"
    for secret in secret_list:
        expected = _digest(secret, message_id, timestamp, body).encode()
        if any(hmac.compare_digest(expected, part.encode("utf-8", "replace")) for part in given):
            return None
    return "no signature matches"


def _digest(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    text = f"{message_id}.{timestamp}.".encode("utf-8", "replace") + body
    return base64.b64encode(hmac.new(_key(secret), text, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    """Decode a secret strictly: lenient decoders turn URL-safe base64 silently into another key."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        message = "The secret is not base64 after `whsec_`."
        raise InvalidInput(message, fields={"secret": message}, code="secret")
    return key
