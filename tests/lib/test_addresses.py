import ipaddress
import socket
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidInput
from engine.lib import addresses
from engine.lib.addresses import Policy, check_target, check_url, why_not

CLOSED = Policy(frozenset({80, 443, 8080, 8443}), frozenset())

# One from the middle or an end of each network of the IANA registries, and the vendors' metadata
REFUSED = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254
    169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.7 192.31.196.1
    192.52.193.1 192.88.99.1 192.168.1.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.9
    203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16 100.100.100.200
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::a9fe:a9fe
    64:ff9b:1::1 100::1 2001::1 2001:1::1 2001:10::1 2001:db8::1 2002:7f00:1:: 3fff::1 5f00::1
    fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 2620:4f:8000::1 4000::1 1234 nonsense
"""
ALLOWED = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 172.15.255.255
    172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
    2606:2800:220:1::1 2a00:1450::1 2001:200::1 2001:4860:4860::8888 2620:4f:8001::1 3ffe::1
"""


@pytest.mark.parametrize("address", REFUSED.split())
def test_refuses_what_is_not_public(address):
    assert why_not(address)


@pytest.mark.parametrize("address", ALLOWED.split())
def test_allows_public_addresses(address):
    assert why_not(address) is None


# numbers by hand: first address, prefix length
ORACLE_V4 = [
    *((int.from_bytes(bytes(first), "big"), bits) for first, bits in [
        ((0, 0, 0, 0), 8), ((10, 0, 0, 0), 8), ((100, 64, 0, 0), 10), ((127, 0, 0, 0), 8),
        ((169, 254, 0, 0), 16), ((172, 16, 0, 0), 12), ((192, 0, 0, 0), 24), ((192, 0, 2, 0), 24),
        ((192, 31, 196, 0), 24), ((192, 52, 193, 0), 24), ((192, 88, 99, 0), 24), ((192, 168, 0, 0), 16),
        ((192, 175, 48, 0), 24), ((198, 18, 0, 0), 15), ((198, 51, 100, 0), 24), ((203, 0, 113, 0), 24),
        ((224, 0, 0, 0), 4), ((240, 0, 0, 0), 4), ((168, 63, 129, 16), 32), ((100, 100, 100, 200), 32),
    ]),
]  # fmt: skip


def near_a_border(draw_bits):
    border = st.sampled_from(ORACLE_V4).flatmap(
        lambda net: st.sampled_from([net[0], net[0] + (1 << (32 - net[1])) - 1])
    )
    return st.one_of(st.integers(0, 2**32 - 1), st.builds(lambda b, d: (b + d) % 2**32, border, draw_bits))


@given(near_a_border(st.integers(-2, 2)))
def test_agrees_with_shifted_prefixes(number):
    inside = any(number >> (32 - bits) == first >> (32 - bits) for first, bits in ORACLE_V4)
    assert bool(why_not(socket.inet_ntoa(number.to_bytes(4, "big")))) == inside


@given(st.integers(0, 2**128 - 1))
def test_refuses_every_ipv6_address_outside_2000_3(number):
    if number >> 125 != 1:
        assert why_not(socket.inet_ntop(socket.AF_INET6, number.to_bytes(16, "big")))


@given(st.ip_addresses())
def test_is_never_laxer_than_the_standard_library(address):
    if not address.is_global:
        assert why_not(str(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.1/", "http://0177.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://0x7f000001/",
        "http://0/", "http://127.0.0.1./", "http://1.2.3.4.5/", "http://08.8.8.8/", "http://8.8.8.256/",
        "http://１２７.0.0.1/", "http://127。0。0。1/", "http://example。com/", "http://①.example.com/", "http://ｅxample.com/",
        "http://user@example.com/", "http://@example.com/", "http://user:pw@example.com/",
        "http://evil.com\\@127.0.0.1/", "http://evil.com\\.example.com/", "http://exa mple.com/",
        "http://example.com/ ", " http://example.com/", "http://example.com/\r\nHost: a", "http://exam\tple.com",
        "http://example.com./", "http://example..com/", "http://.example.com/", "http://-a.com/",
        "http://localhost/", "http://a.localhost/", "http://printer/", "http://nas.local/", "http://a.internal/",
        "http://metadata.google.internal/", "http://x.home.arpa/", "http://db.svc/", "http://x.onion/",
        "http://router.lan/", "http://a.test/", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
        "http://[fe80::1%25eth0]/", "http://[::1", "http://::1/", "http://[1.2.3.4]/", "http://[v1.a]/",
        "http://example.com:22/", "http://example.com:0/", "http://example.com:99999/", "http://example.com:٨٠/",
        "http://example.com: 80/", "http://example.com:+80/", "http://example.com:080/", "http://example.com:/",
        "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/", "example.com",
        "http:/example.com", "http:example.com", "http:///etc/passwd", "http://", "", "http://%6c%6fcalhost/",
        "http://exa%6dple.com/", "http://" + "a" * 64 + ".com/", "http://" + "a." * 130 + "com/",
        "http://example.com/" + "a" * 5000, "http://xn--/\udc80", "http://a\u00a0b.com/", "http://a\u200bb.com/",
        "http://169.254.169.254/latest/meta-data/", "https://100.100.100.200/", "http://[64:ff9b::7f00:1]/",
    ],
)  # fmt: skip
def test_refuses_spellings_of_hidden_targets(url):
    verdict = check_url(url, policy=CLOSED)
    assert not verdict.allowed
    assert verdict.reason


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://example.com", "example.com", 80),
        ("https://EXAMPLE.com/a?b=c#d", "example.com", 443),
        ("HTTPS://api.example.com:8443/x@y:z", "api.example.com", 8443),
        ("http://8.8.8.8:8080/", "8.8.8.8", 8080),
        ("https://[2606:2800:220:1::1]/", "2606:2800:220:1::1", 443),
        ("http://bücher.example.com/", "xn--bcher-kva.example.com", 80),
        ("http://xn--bcher-kva.example.com/", "xn--bcher-kva.example.com", 80),
        ("https://my_host.example.com/ü", "my_host.example.com", 443),
        ("https://1e100.net/", "1e100.net", 443),
        ("https://example.com?q=1", "example.com", 443),
    ],
)
def test_allows_ordinary_addresses(url, host, port):
    verdict = check_url(url, policy=CLOSED)
    assert (verdict.allowed, verdict.reason, verdict.host, verdict.port) == (True, None, host, port)


@given(st.text("0123456789abcdefx.", min_size=1, max_size=16))
def test_refuses_every_number_glibc_would_take_for_an_address(host):
    try:
        resolved = socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return
    verdict = check_url(f"http://{host}/", policy=CLOSED)
    assert verdict.allowed == (resolved == host and why_not(host) is None)


HOSTILE = st.text(st.sampled_from(list("ab1.:@/\\[]#?%ü。－ \t0xＡ")), max_size=24)


@given(HOSTILE, st.sampled_from(["http://", "https://", "http:/", "HTTP://"]))
def test_reads_the_same_host_as_two_other_parsers(rest, scheme):
    verdict = check_url(scheme + rest, policy=CLOSED)
    if verdict.allowed:
        assert httpx.URL(scheme + rest).raw_host.decode().strip("[]") == verdict.host
        assert httpx.URL(scheme + rest).scheme == verdict.scheme
        written = urlsplit(scheme + rest).hostname
        assert written.encode("idna").decode() == verdict.host or written == verdict.host


@given(st.ip_addresses(v=6))
def test_reads_ipv6_hosts_in_any_spelling(address):
    for spelling in (address.compressed, address.exploded):
        verdict = check_url(f"https://[{spelling}]/", policy=CLOSED)
        assert verdict.host == str(address)
        assert verdict.allowed == (why_not(str(address)) is None)


def test_every_answer_must_be_public():
    url = "http://example.com/"
    assert check_url(url, ["93.184.216.34"], policy=CLOSED).allowed
    refused = check_url(url, ["93.184.216.34", "10.0.0.1"], policy=CLOSED)
    assert not refused.allowed
    assert "10.0.0.1" in refused.reason
    assert not check_url(url, [], policy=CLOSED).allowed
    assert not check_url("http://10.0.0.1/", ["8.8.8.8"], policy=CLOSED).allowed


def test_an_opened_host_reaches_private_addresses_but_no_metadata():
    policy = Policy(CLOSED.ports, frozenset({("localhost", 9000), ("127.0.0.1", 9000), ("db.internal", 80)}))
    assert check_url("http://127.0.0.1:9000/", policy=policy).allowed
    assert check_url("http://localhost:9000/", ["127.0.0.1", "::1"], policy=policy).allowed
    assert check_url("http://db.internal/", ["10.1.2.3"], policy=policy).allowed
    for url, answers in [
        ("http://127.0.0.1:9001/", None),
        ("http://127.0.0.2:9000/", None),
        ("http://localhost/", None),
        ("http://db.internal/", ["169.254.169.254"]),
        ("http://db.internal/", ["fd00:ec2::254"]),
        ("http://db.internal/", ["100.100.100.200"]),
        ("http://db.internal/", ["fe80::1"]),
        ("http://db.internal/", ["0.0.0.0"]),
        ("http://[::ffff:127.0.0.1]:9000/", None),
        ("http://2130706433:9000/", None),
    ]:
        assert not check_url(url, answers, policy=policy).allowed, (url, answers)


def test_opening_a_metadata_address_by_name_has_no_effect():
    policy = Policy(CLOSED.ports, frozenset({("169.254.169.254", 80)}))
    assert not check_url("http://169.254.169.254/", policy=policy).allowed


def test_refuses_the_addresses_of_this_machine(monkeypatch):
    monkeypatch.setattr(addresses, "_own", (float("inf"), frozenset({"93.184.216.34"})))
    assert "this machine" in why_not("93.184.216.34")
    assert why_not("93.184.216.34", opened=True) is None


def test_the_settings_open_hosts_and_ports(data_dir, monkeypatch):
    monkeypatch.setenv("OFFLOAD_ALLOWED_PRIVATE_HOSTS", "127.0.0.1:9000, [::1]:9000,Hub.internal:81")
    monkeypatch.setenv("OFFLOAD_CALL_PORTS", "443,8444")
    assert check_url("http://127.0.0.1:9000/").opened
    assert check_url("http://[::1]:9000/").allowed
    assert check_url("http://hub.internal:81/", ["10.0.0.1"]).allowed
    assert check_url("https://example.com:8444/").allowed
    assert not check_url("http://example.com/").allowed


def test_addresses_that_stay_refused_though_opened_are_told(data_dir, monkeypatch):
    opened = "169.254.169.254:80,10.0.0.1:80,[fd00:ec2::254]:80,metadata.internal:80,127.0.0.1:9000"
    monkeypatch.setenv("OFFLOAD_ALLOWED_PRIVATE_HOSTS", opened)
    assert addresses.never_opened() == [
        "OFFLOAD_ALLOWED_PRIVATE_HOSTS does not open 169.254.169.254:80: "
        "169.254.169.254 is not public: link-local, with cloud metadata",
        "OFFLOAD_ALLOWED_PRIVATE_HOSTS does not open [fd00:ec2::254]:80: "
        "fd00:ec2::254 is not public: cloud metadata",
    ]


@pytest.mark.parametrize(
    "entry", ["127.0.0.1", "127.0.0.1:", "a:b", "http://a:80", "127.0.0.1:9000:1", "a:65536", "[1:2]:80"]
)
def test_a_wrong_entry_in_the_settings_is_named(data_dir, monkeypatch, entry):
    monkeypatch.setenv("OFFLOAD_ALLOWED_PRIVATE_HOSTS", entry)
    with pytest.raises(InvalidInput, match="OFFLOAD_ALLOWED_PRIVATE_HOSTS"):
        check_url("http://127.0.0.1:9000/")


def test_judges_the_parts_of_a_url_about_to_be_sent():
    assert check_target("https", "2606:2800:220:1::1", 443, policy=CLOSED).allowed
    assert not check_target("http", "::1", 80, policy=CLOSED).allowed
    assert ipaddress.ip_address(check_target("http", "8.8.8.8", 80, policy=CLOSED).host)
