"""Outbound HTTP: the only way to other people's servers, and the only importer of httpx.

`send` makes one call. Every address is checked before it is connected to (`engine.lib.addresses`), one
deadline covers everything, answers are bounded before and after inflation, redirects are followed by hand,
nothing is read from the environment's proxies, and no cookies are kept.
"""

from engine.lib.http.client import Answer, Limits, Request, close, send
from engine.lib.http.failures import CallFailed
from engine.lib.http.guard import Timing
from engine.lib.http.headers import (
    MASK,
    check_headers,
    is_secret,
    mask_headers,
    mask_url,
)

__all__ = [
    "MASK",
    "Answer",
    "CallFailed",
    "Limits",
    "Request",
    "Timing",
    "check_headers",
    "close",
    "is_secret",
    "mask_headers",
    "mask_url",
    "send",
]
