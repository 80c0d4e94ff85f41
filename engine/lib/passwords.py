"""Passwords: argon2id with the parameters of RFC 9106 for little memory (64 MiB, 3 passes)."""

import secrets
import threading
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from engine.errors import InvalidInput

MIN_CHARS = 10
MAX_CHARS = 256

_hasher = PasswordHasher()
_places = threading.BoundedSemaphore(2)
"""Hashes computed at once: each takes 64 MiB, and a burst of sign-ins must not take the machine's memory."""


def check(password: str) -> None:
    """Raise InvalidInput for a password that is too short or too long to accept."""
    if len(password) < MIN_CHARS:
        raise InvalidInput(
            f"Choose at least {MIN_CHARS} characters.",
            fields={"password": f"at least {MIN_CHARS} characters"},
        )
    if len(password) > MAX_CHARS:
        raise InvalidInput(
            f"Choose at most {MAX_CHARS} characters.", fields={"password": f"at most {MAX_CHARS} characters"}
        )


def hash_password(password: str) -> str:
    """Return the hash to store."""
    with _places:
        return _hasher.hash(_bytes(password))


def matches(stored: str | None, password: str) -> bool:
    """Compare a password with a stored hash; takes the same time when there is none."""
    nobody = _nobody()
    with _places:
        try:
            _hasher.verify(stored or nobody, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None


def outdated(stored: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


@lru_cache(maxsize=1)
def _nobody() -> str:
    """Return a hash no password matches, so that an unknown name costs what a known one does."""
    return _hasher.hash(secrets.token_bytes(32))


def _bytes(password: str) -> bytes:
    return password[: MAX_CHARS + 1].encode("utf-8", "surrogatepass")
