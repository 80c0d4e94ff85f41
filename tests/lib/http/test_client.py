"""The client against a hostile server. Times are upper bounds a hanging call would exceed by far."""

import gzip
import os
import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import brotli
import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine import clock
from engine.lib import http, trace
from engine.lib.http import CallFailed, Limits, Request, client
from tests.lib.http.hostile import KEEP, answer, raw, redirect, running_from, serving

MB = 1024 * 1024
LIMITS = Limits(timeout_s=5, raw_bytes=5 * MB, inflated_bytes=10 * MB)
SHORT = Limits(timeout_s=0.3, raw_bytes=5 * MB, inflated_bytes=10 * MB)


def get(url, limits=LIMITS, **options):
    return http.send(Request("GET", url, options.pop("headers", {})), limits, **options)


def refused(url, limits=LIMITS, method="GET", content=None, **options):
    with pytest.raises(CallFailed) as caught:
        http.send(Request(method, url, {}, content), limits, **options)
    return caught.value


# Ordinary calls


def test_returns_status_headers_body_and_where_the_time_went(server):
    server.on["/a"] = answer(b'{"a": 1}', Content_Type="application/json")
    found = get(f"{server.url}/a?b=1")
    assert (found.status, found.body, found.header("content-type")) == (200, b'{"a": 1}', "application/json")
    assert (found.n_redirects, found.n_raw_bytes, found.url) == (0, 8, f"{server.url}/a?b=1")
    parts = found.timing.document()
    assert parts["connect_ms"] > 0
    assert parts["first_byte_ms"] > 0
    assert parts["lookup_ms"] == parts["tls_ms"] == 0
    assert parts["total_ms"] >= parts["connect_ms"] + parts["first_byte_ms"]


def test_sends_what_was_given_and_who_it_is(server):
    server.on["/a"] = answer()
    http.send(
        Request("POST", f"{server.url}/a?q=%2F", {"X-A": "1", "Content-Type": "text/x"}, b"body"), LIMITS
    )
    head, _, body = server.requests[0].decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == "POST /a?q=%2F HTTP/1.1"
    found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    assert found["host"] == f"127.0.0.1:{server.port}"
    assert (found["x-a"], found["content-type"], found["content-length"]) == ("1", "text/x", "4")
    assert found["accept-encoding"] == "gzip"
    assert found["user-agent"].startswith("Offload/")
    assert body == "body"


def test_keeps_connections_for_reads_only(server):
    server.on["/a"] = answer(b"x")
    get(f"{server.url}/a")
    assert get(f"{server.url}/a").timing.connect_ms == 0
    assert server.connections == 1
    for _ in range(2):
        http.send(Request("POST", f"{server.url}/a", {}, b"x"), LIMITS)
    assert server.connections == 3


def test_what_follows_an_answer_is_not_the_next_answer(server):
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
    server.on["/lies"] = lambda sock, request: (
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none" + extra) or KEEP
    )
    server.on["/a"] = answer(b"right")
    assert [get(f"{server.url}{path}").body for path in ("/lies", "/a", "/a")] == [b"one", b"right", b"right"]
    assert server.connections == 2


def test_a_connection_nobody_can_look_into_is_not_used_again():
    """As if another httpcore had other private names than those that tell what is left over."""
    assert client._more_came(httpcore.Response(200, content=b"x"))


def test_keeps_no_cookies(server):
    server.on["/a"] = answer(Set_Cookie="session=secret; Path=/")
    get(f"{server.url}/a")
    get(f"{server.url}/a")
    assert b"cookie" not in server.requests[1].lower()


def test_a_forked_child_opens_its_own_connections(server):
    server.on["/a"] = answer(b"x")
    get(f"{server.url}/a")
    assert client._pool(os.getpid(), True) is client._pool(os.getpid(), True)
    assert client._pool(os.getpid(), True) is not client._pool(os.getpid() + 1, True)


def test_ignores_proxies_of_the_environment(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.on["/a"] = answer(b"x")
    assert get(f"{server.url}/a").body == b"x"


def test_is_counted_in_the_open_unit_of_work(server):
    server.on["/a"] = answer(status="503 Down")
    with trace.collect() as unit:
        get(f"{server.url}/a?token=1")
    (seen,) = unit.operations
    assert (seen.kind, seen.name, seen.failed) == ("call", f"GET 127.0.0.1:{server.port}", True)


def test_a_password_in_an_address_is_not_recorded(data_dir):
    with trace.collect() as unit, pytest.raises(CallFailed):
        get("http://ann:topsecret@example.com?token=topsecret")
    assert [seen.name for seen in unit.operations] == ["GET example.com"]


# Addresses


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://[::1]/", "http://169.254.169.254/", "http://a b/"]
)
def test_refuses_addresses_without_telling_why(data_dir, url):
    error = refused(url)
    assert (error.code, error.message, error.sent, error.transient) == (
        "address_not_allowed",
        "address not allowed",
        False,
        False,
    )


def answers_of(monkeypatch, *batches):
    """Make name lookups give one batch of addresses after the other, the last for ever; return the asked."""
    asked = []

    def look_up(host, port, **options):
        batch = batches[min(len(asked), len(batches) - 1)]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in batch]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_one_private_answer_among_public_ones_refuses_the_call(data_dir, monkeypatch):
    asked = answers_of(monkeypatch, ["93.184.216.34", "10.0.0.1"])
    assert refused("http://example.com/").code == "address_not_allowed"
    assert asked == ["example.com"]


def test_a_name_is_looked_up_once_and_connected_by_number(data_dir, monkeypatch):
    with serving(monkeypatch, names=["rebind.example.com"]) as server:
        server.on["/a"] = answer(b"right")
        asked = answers_of(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
        assert get(f"http://rebind.example.com:{server.port}/a").body == b"right"
        assert asked == ["rebind.example.com"]
        assert f"host: rebind.example.com:{server.port}".encode() in server.requests[0].lower()
        post = refused(f"http://rebind.example.com:{server.port}/a", method="POST")
        assert post.code == "address_not_allowed"
        assert server.connections == 1


def test_the_next_address_is_tried_when_one_does_not_answer(data_dir, monkeypatch):
    with serving(monkeypatch, names=["two.example.com"]) as server:
        server.on["/a"] = answer(b"x")
        answers_of(monkeypatch, ["127.0.0.2", "127.0.0.1"])
        assert get(f"http://two.example.com:{server.port}/a").body == b"x"


def test_a_lookup_that_hangs_ends_with_the_deadline(data_dir, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: release.wait(10) and [])
    assert refused("http://slow.example.com/", SHORT).code == "timeout"
    release.set()


@pytest.mark.parametrize(("number", "transient"), [(socket.EAI_AGAIN, True), (socket.EAI_NONAME, False)])
def test_tells_unknown_names_from_a_silent_name_server(data_dir, monkeypatch, number, transient):
    def look_up(*args, **options):
        raise socket.gaierror(number, "x")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    error = refused("http://nothing.example.com/")
    assert (error.code, error.transient, error.sent) == ("lookup_failed", transient, False)


def test_a_closed_port_is_a_failure_before_anything_was_sent(server):
    server.close()
    error = refused(f"{server.url}/a")
    assert (error.code, error.transient, error.sent) == ("connect_failed", True, False)


# Time


@pytest.mark.parametrize("part", ["body", "header", "informational", "silence"])
def test_one_deadline_holds_over_slow_drips(server, monkeypatch, part):
    arrived = threading.Event()
    monkeypatch.setattr(clock, "elapsed", running_from(arrived))
    act = {
        "body": lambda: drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"),
        "header": lambda: drip(b"HTTP/1.1 200 OK\r\n", b"X-A: 1\r\n"),
        "informational": lambda: drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        "silence": lambda: drip(b"", b""),
    }[part]()
    server.on["/slow"] = lambda sock, request: (arrived.set(), act(sock, server.stopped))
    error = refused(f"{server.url}/slow", SHORT)
    assert (error.code, error.transient, error.sent) == ("timeout", True, True)


def drip(first, each):
    def act(sock, stopped):
        sock.sendall(first)
        while not stopped.wait(0.05):
            sock.sendall(each)

    return act


def test_a_fast_storm_of_102_ends_before_the_deadline(server):
    def storm(sock, request):
        while True:
            sock.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)

    server.on["/storm"] = storm
    assert refused(f"{server.url}/storm", Limits(60, MB, MB)).code == "head_too_large"


def test_a_running_call_is_stopped(server):
    arrived, asked = threading.Event(), threading.Event()
    server.on["/slow"] = lambda sock, request: (arrived.set(), server.stopped.wait(10))[1]
    threading.Thread(target=lambda: (arrived.wait(5), asked.set()), daemon=True).start()
    error = refused(f"{server.url}/slow", Limits(60, MB, MB), cancelled=asked.is_set)
    assert (error.code, error.sent) == ("cancelled", True)


def test_a_server_that_does_not_read_is_given_up(server):
    server.on["/x"] = answer()
    held = threading.Event()
    server._receive = lambda sock: held.wait(10) and b""
    error = refused(f"{server.url}/x", SHORT, method="POST", content=b"x" * 20 * MB)
    held.set()
    assert error.code == "timeout"


def test_what_is_about_to_be_sent_is_told_once_and_may_be_held_back(server):
    server.on["/a"], told = answer(), []
    get(f"{server.url}/a", on_send=lambda: told.append(len(server.requests)))
    assert told == [0]

    def hold_back():
        raise RuntimeError("lease lost")

    with pytest.raises(RuntimeError, match="lease lost"):
        http.send(Request("POST", f"{server.url}/a"), LIMITS, on_send=hold_back)
    assert len(server.requests) == 1


# Bodies


def test_inflates_gzip(server):
    server.on["/a"] = answer(gzip.compress(b"x" * 100_000), Content_Encoding="gzip")
    assert get(f"{server.url}/a").body == b"x" * 100_000


def test_inflates_several_members(server):
    server.on["/a"] = answer(gzip.compress(b"a") + gzip.compress(b"b"), Content_Encoding="x-gzip")
    assert get(f"{server.url}/a").body == b"ab"


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "nonsense"])
def test_refuses_other_encodings_unread(server, coding):
    server.on["/a"] = answer(brotli.compress(bytes(MB)), Content_Encoding=coding)
    assert refused(f"{server.url}/a").code == "encoding"


def test_an_endless_body_ends_at_the_limit(server):
    def endless(sock, request):
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(bytes(65536))

    server.on["/a"] = endless
    assert refused(f"{server.url}/a").code == "answer_too_large"


def test_a_declared_size_over_the_limit_is_not_read(server):
    server.on["/a"] = raw(f"HTTP/1.1 200 OK\r\nContent-Length: {5 * MB + 1}\r\n\r\n".encode())
    error = refused(f"{server.url}/a")
    assert (error.code, error.message) == ("answer_too_large", "The answer is larger than 5 MB as sent.")


def test_the_largest_allowed_body_is_read(server):
    server.on["/a"] = answer(bytes(5 * MB))
    assert len(get(f"{server.url}/a").body) == 5 * MB


@pytest.mark.parametrize(
    ("bytes_sent", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nConte", "connection_lost"),
        (b"", "connection_lost"),
        (b"nonsense\r\n\r\n", "protocol_error"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 170_000 + b"\r\n\r\n", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 99)[:-9], "body_cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nplain text", "body_damaged"),
    ],
)
def test_cut_and_broken_answers_are_failures(server, bytes_sent, code):
    server.on["/a"] = raw(bytes_sent)
    error = refused(f"{server.url}/a")
    assert (error.code, error.sent) == (code, True)


def test_a_head_answer_has_no_body_to_wait_for(server):
    server.on["/a"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\nContent-Encoding: gzip\r\n\r\n")
    assert http.send(Request("HEAD", f"{server.url}/a"), LIMITS).body == b""


CHILD = """
import resource, sys
from engine.lib import http
from engine.lib.http import Limits, Request, client
client._pool(__import__('os').getpid(), True)
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 64 * 1048576,) * 2)
for path in sys.argv[2:]:
    try:
        http.send(Request('GET', sys.argv[1] + path), Limits(20, 5 * 1048576, 10 * 1048576))
        print(path, 'answered')
    except http.CallFailed as error:
        print(path, error.code)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_bombs_cost_no_memory(server, monkeypatch):
    """2 KB of brotli are 3 GB in memory with plain httpx; here the process may grow by 64 MB at most."""
    server.on["/gzip"] = answer(gzip.compress(bytes(400 * MB), 1), Content_Encoding="gzip")
    server.on["/br"] = answer(brotli.compress(bytes(400 * MB), quality=1), Content_Encoding="br")
    server.on["/zstd"] = answer(b"\x28\xb5\x2f\xfd" + bytes(50_000), Content_Encoding="zstd")
    server.on["/endless"] = raw(b"HTTP/1.1 200 OK\r\n\r\n", *[bytes(MB)] * 64)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, server.url, "/gzip", "/br", "/zstd", "/endless"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "MALLOC_ARENA_MAX": "2"},
    )
    assert done.stdout.splitlines()[:4] == [
        "/gzip answer_too_large",
        "/br encoding",
        "/zstd encoding",
        "/endless answer_too_large",
    ], done.stderr


# Redirects


def test_follows_three_redirects_and_no_more(server):
    server.on["/1"] = redirect("/2")
    server.on["/2"] = redirect(f"{server.url}/3", "307 Temporary Redirect")
    server.on["/3"] = redirect("4", "301 Moved")
    server.on["/4"] = answer(b"end")
    found = get(f"{server.url}/1")
    assert (found.body, found.n_redirects, found.url) == (b"end", 3, f"{server.url}/4")
    server.on["/0"] = redirect("/1")
    assert refused(f"{server.url}/0").code == "redirect"


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/", "http://169.254.169.254/", "http://[::1]/", "//10.0.0.1/"]
)
def test_checks_the_address_of_each_hop(server, target):
    server.on["/1"] = redirect(target)
    assert refused(f"{server.url}/1").code == "address_not_allowed"


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://example.com/", "gopher://127.0.0.1/", "http://a@b.com/"]
)
def test_other_schemes_and_spellings_are_refused(server, target):
    server.on["/1"] = redirect(target)
    assert refused(f"{server.url}/1").code == "address_not_allowed"


def test_a_location_in_utf_8_is_read_as_such(server):
    server.on["/1"] = raw("HTTP/1.1 302 Found\r\nLocation: /caf\u00e9\r\nContent-Length: 0\r\n\r\n".encode())
    server.on["/caf%C3%A9"] = answer(b"coffee")
    assert get(f"{server.url}/1").body == b"coffee"


@pytest.mark.parametrize("target", ["http:\\\\evil.com", "/a b", "/\tb"])
def test_a_location_two_parsers_read_differently_is_refused(server, target):
    server.on["/1"] = redirect(target)
    assert refused(f"{server.url}/1").code == "redirect"


def test_posts_are_not_redirected(server):
    server.on["/1"] = redirect("/2")
    assert http.send(Request("POST", f"{server.url}/1", {}, b"x"), LIMITS).status == 302
    assert len(server.requests) == 1


def test_no_redirects_where_none_are_allowed(server):
    server.on["/1"] = redirect("/2")
    assert get(f"{server.url}/1", Limits(5, MB, MB, redirects=0)).status == 302


def test_secrets_stay_behind_when_the_origin_changes(data_dir, monkeypatch):
    headers = {"Authorization": "Bearer x", "X-Api-Key": "y", "Cookie": "z", "X-Plain": "kept"}
    with serving(monkeypatch) as other:
        other.on["/end"] = answer(b"end")
        with serving(monkeypatch) as server:
            monkeypatch.setenv(
                "OFFLOAD_ALLOWED_PRIVATE_HOSTS", f"127.0.0.1:{server.port},127.0.0.1:{other.port}"
            )
            server.on["/1"] = redirect("/2")
            server.on["/2"] = redirect(f"{other.url}/end")
            assert get(f"{server.url}/1", headers=headers).body == b"end"
    assert all(value.encode() in server.requests[1] for value in headers.values())
    assert b"Bearer" not in other.requests[0]
    assert b"api-key" not in other.requests[0].lower()
    assert b"cookie" not in other.requests[0].lower()
    assert b"kept" in other.requests[0]


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A certificate authority, and a server certificate for `api.example.com` signed by it."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test")])
    now = datetime.now(UTC)
    base = x509.CertificateBuilder().issuer_name(name).public_key(key.public_key())
    base = base.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    root = base.subject_name(name).serial_number(1)
    root = root.add_extension(x509.BasicConstraints(True, None), True)
    root = root.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    root = root.add_extension(
        x509.KeyUsage(True, False, False, False, False, True, True, False, False), True
    ).sign(key, hashes.SHA256())
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api.example.com")]))
    )
    leaf = leaf.public_key(leaf_key.public_key()).serial_number(2)
    leaf = leaf.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    leaf = leaf.add_extension(x509.SubjectAlternativeName([x509.DNSName("api.example.com")]), False)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
    signed = leaf.sign(key, hashes.SHA256())
    (folder / "root.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (folder / "leaf.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "leaf.key").write_bytes(
        leaf_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder


@pytest.fixture
def tls_server(data_dir, monkeypatch, certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "leaf.pem", certificates / "leaf.key")
    context.seen = []
    context.sni_callback = lambda sock, name, ctx: context.seen.append(name)
    with serving(monkeypatch, context, names=["api.example.com", "other.example.com"]) as server:
        answers_of(monkeypatch, ["127.0.0.1"])
        server.seen = context.seen
        yield server


@pytest.fixture
def trusting(monkeypatch, certificates):
    context = ssl.create_default_context(cafile=certificates / "root.pem")
    http.close()
    monkeypatch.setattr(client, "_ssl_context", lambda pid: context)
    yield
    http.close()


def test_a_certificate_is_checked_against_the_name_not_the_number(tls_server, trusting):
    tls_server.on["/a"] = answer(b"x" * 100_000)
    found = get(f"https://api.example.com:{tls_server.port}/a")
    assert len(found.body) == 100_000
    assert found.timing.tls_ms > 0
    assert tls_server.seen == ["api.example.com"]


def test_a_certificate_of_another_name_is_refused(tls_server, trusting):
    error = refused(f"https://other.example.com:{tls_server.port}/a")
    assert (error.code, error.sent, error.transient) == ("certificate", False, False)
    assert tls_server.requests == []


def test_a_certificate_nobody_vouches_for_is_refused(tls_server):
    assert refused(f"https://api.example.com:{tls_server.port}/a").code == "certificate"


def test_a_server_that_speaks_no_tls_is_a_failure(data_dir, monkeypatch):
    with serving(monkeypatch) as server:
        server._receive = lambda sock: sock.sendall(b"HTTP/1.1 400 Bad\r\n\r\n") or b""
        assert refused(server.url.replace("http:", "https:") + "/").code == "tls_failed"


def test_a_handshake_that_hangs_ends_with_the_deadline(data_dir, monkeypatch):
    with serving(monkeypatch) as server:
        server._receive = lambda sock: server.stopped.wait(10) and b""
        error = refused(server.url.replace("http:", "https:") + "/", SHORT)
        assert (error.code, error.sent) == ("timeout", False)


def test_https_is_not_redirected_to_http(tls_server, trusting):
    tls_server.on["/a"] = redirect(f"http://api.example.com:{tls_server.port}/b")
    assert refused(f"https://api.example.com:{tls_server.port}/a").code == "redirect"
