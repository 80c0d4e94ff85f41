"""Random secrets that are shown once and stored as a digest."""

import hashlib
import secrets

_BITS = 256


def new(prefix: str = "") -> str:
    """Make a secret of 256 random bits in URL-safe characters, after `prefix`."""
    return prefix + secrets.token_urlsafe(_BITS // 8)


def digest(secret: str) -> str:
    """Return what may be stored: SHA-256 in hex.

    A slow hash as for passwords would add nothing: 256 random bits cannot be guessed from their digest.
    """
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
