"""Which addresses on the network may be called: one policy for API calls, webhooks and redirects.

The table is our own: `ipaddress.is_global` says yes to cloud metadata (192.0.0.192), NAT64 and 6to4 forms of
private addresses, and multicast, and it changes between patch releases of Python. Sources: the IANA IPv4 and
IPv6 special-purpose registries (RFC 6890 and successors) and the metadata addresses of the cloud vendors.

A URL is judged by its spelling first (RFC 3986, but narrower: whatever two parsers could read differently is
refused), then by every address its name resolves to.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

import idna
import psutil

from engine import clock, settings

_MAX_CHARS = 4_096
_IDEOGRAPHIC_STOP = "\u3002"
"""A dot to IDNA (RFC 3490, 3.1), though NFKC leaves it alone; its wide and halfwidth forms it does not."""
_MAX_HOST_CHARS = 253
_OWN_ADDRESSES_KEPT_S = 60
_DEFAULT_PORTS = {"http": 80, "https": 443}

_PRIVATE = (
    # Networks an installation may open for named hosts.
    ("10.0.0.0/8", "private network"),
    ("172.16.0.0/12", "private network"),
    ("192.168.0.0/16", "private network"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("::1/128", "loopback"),
    ("fc00::/7", "private network"),
)
_NEVER = (
    # Networks nothing opens. A narrow network inside an openable one comes first and wins.
    ("169.254.0.0/16", "link-local, with cloud metadata"),
    ("100.100.100.200/32", "cloud metadata"),
    ("168.63.129.16/32", "cloud metadata"),
    ("192.0.0.192/32", "cloud metadata"),
    ("fd00:ec2::254/128", "cloud metadata"),
    ("fd00:ec2::23/128", "cloud metadata"),
    ("fd20:ce::254/128", "cloud metadata"),
    ("0.0.0.0/8", "this network"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "AS112"),
    ("192.52.193.0/24", "AMT"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.175.48.0/24", "AS112"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("2001::/23", "Teredo and other protocol assignments"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("2620:4f:8000::/48", "AS112"),
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")

_RESERVED_NAMES = frozenset(
    {"alt", "corp", "domain", "home", "home.arpa", "host", "internal", "intranet", "invalid", "lan", "local"}
    | {"localdomain", "localhost", "onion", "private", "svc", "test", "workgroup"}
)
"""Last labels (or two) that mean a machine nearby: RFC 6761, 6762, 7686, 8375, 9476, and common habit."""

_URL = re.compile(r"(https?)://([^/?#]*)(?:[/?#].*)?", re.IGNORECASE | re.DOTALL)
_FORBIDDEN = re.compile(
    r"[\x00-\x20\x7f-\xa0\\\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff\ud800-\udfff]"
)
_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:@%]+)(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_OCTET = "(?:0|[1-9][0-9]{0,2})"
_QUAD = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Policy:
    """What the installation allows beyond the table."""

    ports: frozenset[int]
    opened: frozenset[tuple[str, int]]
    """Hosts (as in a URL, IPv6 without brackets) and ports that may be private."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a URL may be called. `reason` is for operators: told to users it would scan ports for them."""

    allowed: bool
    reason: str | None
    scheme: str = ""
    host: str = ""
    """In small letters, international names in their ASCII form, IPv6 without brackets."""
    port: int = 0
    literal: bool = False
    """The host is an address, not a name."""
    opened: bool = False
    """The installation opened this host and port for private addresses."""


def check_url(url: str, answers: Iterable[str] | None = None, *, policy: Policy | None = None) -> Verdict:
    """Judge a URL by its spelling and, if given, by the addresses its name resolved to. Does no I/O."""
    verdict = _check_spelling(url, policy or current_policy())
    if not verdict.allowed:
        return verdict
    found = list(answers) if answers is not None else []
    if answers is not None and not found:
        return _refused("the name has no address", verdict)
    for address in [verdict.host, *found] if verdict.literal else found:
        if reason := why_not(address, opened=verdict.opened):
            return _refused(reason, verdict)
    return verdict


def target(url: str) -> str:
    """Return scheme, host, port and path of an allowed URL: what a limit per address counts.

    Paths that a client or a server reads as the same are the same here (RFC 3986, section 6.2.2): `/a`,
    `/%61` and `/b/../a`.
    """
    verdict = check_url(url)
    kept: list[str] = []
    for part in unquote(urlsplit(url).path).split("/")[1:]:
        if part == "..":
            del kept[-1:]
        elif part != ".":
            kept.append(quote(part))
    return f"{verdict.scheme}://{verdict.host}:{verdict.port}/{'/'.join(kept)}"


def check_target(scheme: str, host: str, port: int, *, policy: Policy | None = None) -> Verdict:
    """Judge the parts of a URL as the client is about to send it."""
    shown = f"[{host}]" if ":" in host else host
    return check_url(f"{scheme}://{shown}:{port}", policy=policy)


def why_not(address: str, *, opened: bool = False) -> str | None:
    """Return why an address may not be called, or None; `opened` lifts what an installation may open."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return f"{address!r} is not an IP address"
    if kind := _find(_never_table(), found):
        return f"{address} is not public: {kind}"
    private = _find(_private_table(), found)
    if private and not opened:
        return f"{address} is not public: {private}"
    if not private and isinstance(found, ipaddress.IPv6Address) and found not in _GLOBAL_V6:
        return f"{address} is not public: outside 2000::/3"
    if not opened and str(found) in _own_addresses():
        return f"{address} is an address of this machine"
    return None


def never_opened() -> list[str]:
    """Say of each address that the settings open in vain why it stays refused; names are not resolved."""
    found = []
    for host, port in sorted(current_policy().opened):
        with suppress(ValueError):
            ipaddress.ip_address(host)
            shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            if reason := why_not(host, opened=True):
                found.append(f"OFFLOAD_ALLOWED_PRIVATE_HOSTS does not open {shown}: {reason}")
    return found


def current_policy() -> Policy:
    """Return the policy of the settings."""
    found = settings.get()
    return _policy(found.call_ports, found.allowed_private_hosts)


@lru_cache(maxsize=8)
def _policy(ports: str, opened: str) -> Policy:
    return Policy(
        frozenset(int(part) for part in ports.split(",") if part.strip()),
        frozenset(_opened_host(part.strip()) for part in opened.split(",") if part.strip()),
    )


def _opened_host(entry: str) -> tuple[str, int]:
    host, _, port = entry.lower().rpartition(":")
    return (str(ipaddress.IPv6Address(host[1:-1])) if host[0] == "[" else host), int(port)


def _check_spelling(url: str, policy: Policy) -> Verdict:
    if len(url) > _MAX_CHARS:
        return Verdict(False, f"the URL is longer than {_MAX_CHARS} characters")
    if _FORBIDDEN.search(url):
        return Verdict(False, "the URL holds a blank, a control character or a backslash")
    match = _URL.fullmatch(url)
    if not match:
        return Verdict(False, "only http:// and https:// addresses are called")
    if "@" in match[2]:
        return Verdict(False, "the URL holds a user name or password")
    authority = _AUTHORITY.fullmatch(match[2])
    if not authority:
        return Verdict(False, "the host or the port is not well-formed")
    scheme = match[1].lower()
    port = int(authority[2]) if authority[2] else _DEFAULT_PORTS[scheme]
    if port > 65_535:
        return Verdict(False, "the host or the port is not well-formed")
    return _check_host(scheme, authority[1], port, policy)


def _check_host(scheme: str, written: str, port: int, policy: Policy) -> Verdict:
    if written.startswith("["):
        try:
            host, literal = str(ipaddress.IPv6Address(written[1:-1])), True
        except ValueError:
            return Verdict(False, "the IPv6 address is not well-formed")
    else:
        host, reason = _ascii(written)
        if reason:
            return Verdict(False, reason)
        literal = bool(_QUAD.fullmatch(host)) and all(int(part) < 256 for part in host.split("."))
    opened = (host, port) in policy.opened
    verdict = Verdict(True, None, scheme, host, port, literal, opened)
    if not literal and (reason := _why_not_name(host, opened)):
        return _refused(reason, verdict)
    if not opened and port not in policy.ports:
        return _refused(f"port {port} is not among those that may be called", verdict)
    return verdict


def _ascii(written: str) -> tuple[str, str | None]:
    """Return a host in small ASCII letters, or why it has none."""
    if written.isascii():
        return written.lower(), None
    if _IDEOGRAPHIC_STOP in written or unicodedata.normalize("NFKC", written) != written:
        return "", "the host is spelt with look-alike characters"
    try:
        return idna.encode(written.lower()).decode("ascii"), None
    except (idna.IDNAError, UnicodeError):
        return "", "the host is not a valid international name"


def _why_not_name(host: str, opened: bool) -> str | None:
    if len(host) > _MAX_HOST_CHARS:
        return f"the host is longer than {_MAX_HOST_CHARS} characters"
    labels = host.split(".")
    if labels[-1] == "":
        return "the host ends in a dot"
    if not all(map(_LABEL.fullmatch, labels)):
        return "the host is not a well-formed name"
    if _NUMBER.fullmatch(labels[-1]):
        return "the host is an address in an unusual spelling"
    if opened:
        return None
    if len(labels) == 1:
        return "the host has no dot: a name of the local network"
    if labels[-1] in _RESERVED_NAMES or ".".join(labels[-2:]) in _RESERVED_NAMES:
        return "the host is a name of the local network"
    return None


def _refused(reason: str, verdict: Verdict) -> Verdict:
    return Verdict(False, reason, verdict.scheme, verdict.host, verdict.port, verdict.literal, verdict.opened)


Range = tuple[int, int, int, str]
"""IP version, first address, last address, what it is."""


@lru_cache(maxsize=1)
def _never_table() -> tuple[Range, ...]:
    return tuple(_range(network, kind) for network, kind in _NEVER)


@lru_cache(maxsize=1)
def _private_table() -> tuple[Range, ...]:
    return tuple(_range(network, kind) for network, kind in _PRIVATE)


def _range(network: str, kind: str) -> Range:
    parsed = ipaddress.ip_network(network)
    return parsed.version, int(parsed.network_address), int(parsed.broadcast_address), kind


def _find(table: tuple[Range, ...], address: Address) -> str | None:
    number, version = int(address), address.version
    for its_version, first, last, kind in table:
        if first <= number <= last and its_version == version:
            return kind
    return None


_own: tuple[float, frozenset[str]] = (float("-inf"), frozenset())


def _own_addresses() -> frozenset[str]:
    """Return the addresses of this machine's interfaces, read once a minute."""
    global _own
    if clock.elapsed() - _own[0] > _OWN_ADDRESSES_KEPT_S:
        found = [address.address for addresses in psutil.net_if_addrs().values() for address in addresses]
        _own = (clock.elapsed(), frozenset(text.partition("%")[0] for text in found))
    return _own[1]
