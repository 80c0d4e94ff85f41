"""The installation's key: 256 random bits in a file that nobody else may read."""

import base64
import binascii
import os
import secrets
from contextlib import suppress
from pathlib import Path

from engine.errors import Unavailable

KEY_FILE = "secret.key"
_KEY_BYTES = 32


def load_key(path: Path) -> bytes:
    """Return the key in a file; makes the file when there is none."""
    make_key(path)
    try:
        key = base64.b64decode(path.read_bytes(), validate=False)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise Unavailable(f"{path} does not hold a key; restore it from a backup.", code="secret_key")
    return key


def make_key(path: Path) -> None:
    """Make the file, of mode 0600, unless it is there.

    It is written under a temporary name and linked, so that of several processes starting at once all get
    the same key and none reads half of one.
    """
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
