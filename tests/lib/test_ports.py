import os
import socket

import pytest

from engine.lib import ports


@pytest.fixture
def taken():
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_a_free_port_can_be_had():
    assert ports.why_not(ports.LOOPBACK, ports.free()) is None


def test_a_taken_port_names_its_holder(taken):
    why = ports.why_not(ports.LOOPBACK, taken)
    assert why.startswith(f"port {taken} is in use by process {os.getpid()} (")


def test_an_address_of_another_machine_is_refused():
    why = ports.why_not("192.0.2.1", 8501)  # TEST-NET-1, RFC 5737
    assert why == "cannot listen on 192.0.2.1 (Cannot assign requested address)"


def test_holder_is_the_listening_process(taken):
    assert ports.holder(taken).pid == os.getpid()
    assert ports.holder(ports.free()) is None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("box.example", "http://box.example:80"),
    ],
)
def test_url_is_what_this_machine_reaches(host, url):
    assert ports.url(host, 80) == url
