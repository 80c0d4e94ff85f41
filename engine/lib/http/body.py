"""Bodies of answers, bounded: as declared, as sent, and as inflated in small steps.

httpx inflates a whole network chunk at once and accepts any encoding whose library is installed: 2 KB of
brotli cost 3 GB of memory. So the raw bytes are read here, and only gzip is inflated.
"""

import zlib
from collections.abc import Iterable

import httpcore

from engine.lib.http.failures import CallFailed

_STEP_BYTES = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class Inflater:
    """Inflates gzip of one or several members, in steps of bounded size."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._member = zlib.decompressobj(_GZIP)
        self._fed = False
        self.body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Inflate a chunk; raise CallFailed when the limit is passed or the data is damaged."""
        self._fed = self._fed or bool(chunk)
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            try:
                self.body += self._member.decompress(chunk, _STEP_BYTES)
            except zlib.error as error:
                raise CallFailed("body_damaged", "The answer is not valid gzip.", transient=True) from error
            if len(self.body) > self._limit_bytes:
                raise too_large(self._limit_bytes, "inflated")
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def close(self) -> None:
        """Raise CallFailed when the data ended in the middle of a member."""
        if self._fed and not self._member.eof:
            raise CallFailed("body_cut", "The answer ended too early.", transient=True)


def read_start(stream: Iterable[bytes], limit: int) -> tuple[bytes, int]:
    """Return the first bytes of an answer as sent, whatever happens to the rest of it."""
    body = bytearray()
    try:
        for chunk in stream:
            body += chunk
            if len(body) >= limit:
                break
    except (CallFailed, httpcore.NetworkError, httpcore.ProtocolError):
        pass
    return bytes(body[:limit]), len(body)


def read(
    stream: Iterable[bytes], *, encoding: str, declared: str | None, raw_limit: int, inflated_limit: int
) -> tuple[bytes, int]:
    """Return the body and its size as sent, in bytes; raise CallFailed for what is not accepted."""
    coding = encoding.strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise CallFailed("encoding", "The answer is compressed in a way that is not accepted.")
    if declared and declared.isascii() and declared.isdigit() and int(declared) > raw_limit:
        raise too_large(raw_limit, "as sent")
    inflater = Inflater(inflated_limit) if coding.endswith("gzip") else None
    body, n_raw = bytearray(), 0
    for chunk in stream:
        n_raw += len(chunk)
        if n_raw > raw_limit:
            raise too_large(raw_limit, "as sent")
        if inflater:
            inflater.feed(chunk)
        else:
            body += chunk
    if inflater:
        inflater.close()
        body = inflater.body
    if len(body) > inflated_limit:
        raise too_large(inflated_limit, "inflated")
    return bytes(body), n_raw


def too_large(limit: int, how: str) -> CallFailed:
    """Return the refusal of an answer over a limit in bytes."""
    return CallFailed("answer_too_large", f"The answer is larger than {limit / 1048576:g} MB {how}.")
