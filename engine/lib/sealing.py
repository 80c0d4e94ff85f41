"""Secrets at rest: sealed with AES-256-GCM under a key derived from the installation's key file."""

import base64
import binascii
import secrets
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.errors import Unavailable
from engine.lib.keyfile import KEY_FILE, load_key

_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = "s1."


class Sealer:
    """Seals and opens short texts for one purpose; what another purpose sealed does not open."""

    def __init__(self, key: bytes, purpose: str) -> None:
        derived = HKDF(SHA256(), length=_KEY_BYTES, salt=None, info=f"offload {purpose}".encode()).derive(key)
        self._cipher = AESGCM(derived)

    def seal(self, text: str, context: str = "") -> str:
        """Encrypt a text. `context` (for example the row's id) must be given again to open it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), context.encode())
        return _VERSION + base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, sealed: str, context: str = "") -> str:
        """Decrypt a sealed text; raise Unavailable when key, context or text do not fit."""
        try:
            raw = base64.urlsafe_b64decode(sealed.removeprefix(_VERSION))
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise Unavailable(
                "A stored secret cannot be read: data/secret.key is not the one it was sealed with.",
                code="secret_key",
            ) from error


@lru_cache(maxsize=16)
def sealer(data_dir: Path, purpose: str) -> Sealer:
    """Return the sealer of an installation for a purpose; makes the key file when there is none."""
    return Sealer(load_key(data_dir / KEY_FILE), purpose)
