import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lib.http import CallFailed
from engine.lib.http.body import Inflater, read, read_start

LIMITS = {"encoding": "gzip", "declared": None, "raw_limit": 10_000, "inflated_limit": 20_000}


def pieces(data, sizes):
    """Cut data into chunks of the given sizes, over and over."""
    found, at, turn = [], 0, 0
    while at < len(data):
        found.append(data[at : at + sizes[turn % len(sizes)]])
        at += sizes[turn % len(sizes)]
        turn += 1
    return found


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    st.lists(st.integers(1, 50), min_size=1, max_size=5),
)
def test_inflates_any_members_in_any_chunks(members, sizes):
    wire = b"".join(map(gzip.compress, members))
    assert read(pieces(wire, sizes), **LIMITS) == (b"".join(members), len(wire))


@given(st.binary(min_size=1, max_size=200), st.integers(1, 30))
def test_a_cut_is_never_taken_for_the_end(body, missing):
    wire = gzip.compress(body)
    with pytest.raises(CallFailed):
        read([wire[: max(1, len(wire) - missing)]], **LIMITS)


@given(st.binary(min_size=1, max_size=300))
def test_whatever_is_no_gzip_is_a_failure_not_a_crash(junk):
    if not junk.startswith(b"\x1f\x8b"):
        with pytest.raises(CallFailed):
            read([junk], **LIMITS)


def test_a_step_is_bounded_however_much_it_would_inflate_to():
    inflater = Inflater(1_000_000)
    with pytest.raises(CallFailed, match="inflated"):
        inflater.feed(gzip.compress(bytes(50_000_000)))
    assert len(inflater.body) <= 1_000_000 + 64 * 1024


def test_the_start_is_read_whatever_happens_to_the_rest():
    def broken():
        yield b"abc"
        raise CallFailed("connection_lost", "x")

    assert read_start(broken(), 2_048) == (b"abc", 3)
    assert read_start([b"abc", b"def"], 4) == (b"abcd", 6)
