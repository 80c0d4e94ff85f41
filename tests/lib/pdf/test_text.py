"""Text that would break a render is made harmless; other text is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lib.pdf.text import FIELD_CHARS, TOKEN_CHARS, clean_text, safe_link

BREAK = "\u200b"


@pytest.mark.parametrize("text", ["", "plain", "Grüße 日本 😀", "two\nlines\tand a tab", "a" * TOKEN_CHARS])
def test_ordinary_text_is_kept(text):
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\ud83db", "ab"),
        ("a\x00\x07\x1b[31mb\x7f\x85", "a[31mb"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("x" * (2 * TOKEN_CHARS + 1), BREAK.join(["x" * TOKEN_CHARS, "x" * TOKEN_CHARS, "x"])),
    ],
)
def test_what_cannot_be_printed_is_dropped_and_long_words_break(text, clean):
    assert clean_text(text) == clean


def test_long_field_is_cut_and_says_so():
    clean = clean_text("word " * FIELD_CHARS)
    assert len(clean) == FIELD_CHARS
    assert clean.endswith("…")


@given(st.text())
def test_clean_text_can_be_encoded_and_is_stable(text):
    clean = clean_text(text)
    clean.encode()
    assert clean_text(clean) == clean


@pytest.mark.parametrize("url", ["http://a/b?c=d#e", "HTTPS://a", "mailto:a@b", "#anchor"])
def test_good_link_is_kept(url):
    assert safe_link(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " JavaScript:x",
        "file:///etc/passwd",
        "data:text/html,x",
        "//a/b",
        "a",
        "http://[",
    ],
)
def test_other_link_is_dropped(url):
    assert safe_link(url) == ""
