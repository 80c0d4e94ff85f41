import json
import socket

import pytest
from click.testing import CliRunner

from engine.cli.url import command


def run(*args, text=None):
    return CliRunner().invoke(command, ["check", *args], input=text, catch_exceptions=False)


def test_prints_one_document(data_dir):
    found = run("https://example.com/", "--format", "json")
    assert json.loads(found.stdout) == {"url": "https://example.com/", "allowed": True, "reason": None}
    assert found.exit_code == 0


def test_judges_given_answers(data_dir):
    found = json.loads(
        run("https://example.com/", "--answers", "8.8.8.8,10.0.0.1", "--format", "json").stdout
    )
    assert (found["allowed"], found["answers"]) == (False, ["8.8.8.8", "10.0.0.1"])
    assert "10.0.0.1" in found["reason"]


def test_looks_up_only_when_asked(data_dir, monkeypatch):
    asked = []

    def look_up(host, port, **options):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert run("https://example.com/").stdout == "allowed\n"
    assert asked == []
    assert "loopback" in run("https://example.com/", "--resolve").stdout
    assert asked == ["example.com"]


def test_answers_each_line_of_a_batch_in_order(data_dir):
    lines = [
        {"url": "http://a.com/"},
        {"url": "http://127.1/"},
        {"url": "http://a.com/", "answers": ["127.0.0.1"]},
    ]
    text = "\n".join(
        [*map(json.dumps, lines), "not json", '{"url": 1}', '{"url": "http://a.com", "answers": 1}']
    )
    found = [json.loads(line) for line in run("--batch", "-", text=text).stdout.splitlines()]
    assert [d["allowed"] for d in found] == [True, False, False, False, False, False]
    assert [d["url"] for d in found[:3]] == [line["url"] for line in lines]
    assert set(found[0]) == {"url", "allowed", "reason"}


def test_a_byte_order_mark_spoils_no_line(data_dir):
    found = run("--batch", "-", text=b'\xef\xbb\xbf{"url": "http://a.com/"}\r\n{"url": "http://b.com/"}\r\n')
    assert [json.loads(line)["allowed"] for line in found.stdout.splitlines()] == [True, True]


@pytest.mark.parametrize("args", [[], ["http://a.com", "--batch", "-"]])
def test_needs_one_source(data_dir, args):
    assert CliRunner().invoke(command, ["check", *args], input="").exception


@pytest.mark.parametrize(
    "line",
    [b'{"url": "http://\\ud800.com/"}', b'{"url": "http://\xff.com/"}', b"\xff", b"[" * 100_000],
    ids=["half a surrogate pair", "no UTF-8 in a URL", "no UTF-8", "nested too deeply"],
)
def test_a_line_that_cannot_be_read_spoils_no_other(data_dir, line):
    text = b"\n".join([line, b'{"url": "http://a.com/"}'])
    refused, allowed = map(json.loads, run("--batch", "-", text=text).stdout.splitlines())
    assert (refused["allowed"], allowed["allowed"]) == (False, True)
