"""Text from outside, made fit for a renderer."""

import re
import unicodedata
from urllib.parse import urlsplit

FIELD_CHARS = 4_000
"""Longest value that is printed in full; layout time grows with the length of a field."""
TOKEN_CHARS = 40
_BREAK = "\u200b"
_KEPT_CONTROLS = "\n\t"
_LINK_SCHEMES = frozenset({"http", "https", "mailto"})
_LONG_TOKEN = re.compile(rf"[^\s{_BREAK}]{{{TOKEN_CHARS + 1},}}")


def clean_text(text: str, *, limit: int = FIELD_CHARS) -> str:
    """Drop what cannot be printed, cut at `limit` characters, and make long words breakable.

    Lone surrogates end a render with UnicodeEncodeError. A word of n characters without a break takes time
    in n squared under `overflow-wrap: anywhere` (16,000 characters: 2.2 s), so a break is allowed inside.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    printable = "".join(c for c in text if c in _KEPT_CONTROLS or not _is_unprintable(c))
    return _LONG_TOKEN.sub(_breakable, printable)


def safe_link(url: str) -> str:
    """Return the address if it may be a link in a document (http, https, mailto, #anchor), else nothing."""
    if url.startswith("#"):
        return url
    try:
        return url if urlsplit(url.strip()).scheme.lower() in _LINK_SCHEMES else ""
    except ValueError:
        return ""


def _is_unprintable(character: str) -> bool:
    """Controls, lone surrogates, and the marks that turn the direction of the text around them."""
    return unicodedata.category(character) in ("Cc", "Cs") or character in "\u202a\u202b\u202c\u202d\u202e"


def _breakable(match: re.Match[str]) -> str:
    token = match.group()
    return _BREAK.join(token[at : at + TOKEN_CHARS] for at in range(0, len(token), TOKEN_CHARS))
