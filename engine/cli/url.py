"""`offload url`: may an address be called, and why not?"""

import json
import socket
from collections.abc import Iterator
from typing import Any

import click

from engine.cli.output import format_option, print_json
from engine.errors import InvalidInput
from engine.lib import addresses

_LINES = click.File("r", encoding="utf-8-sig", errors="surrogateescape")
"""Bytes that are no UTF-8 spoil their own line only; a byte order mark, as Windows writes it, spoils none."""


@click.group()
def command() -> None:
    """Check whether an address may be called."""


@command.command("check")
@click.argument("url", required=False)
@click.option("--answers", help="Addresses its name shall be taken to resolve to, separated by commas.")
@click.option("--resolve", is_flag=True, help="Look its name up; without this, only the spelling is judged.")
@click.option("--batch", type=_LINES, help="JSON lines to judge; - for input.")
@format_option
def check(url: str | None, answers: str | None, resolve: bool, batch: Any, fmt: str) -> None:
    """Judge URL as every outbound call is judged. Nothing is sent to it."""
    if batch is not None:
        if url or answers or resolve:
            raise InvalidInput("--batch takes its addresses from the file.")
        for document in _judge_lines(batch):
            print_json(document)
        return
    if not url:
        raise InvalidInput("Give a URL, or --batch.")
    found = _given(answers) if answers is not None else _look_up(url) if resolve else None
    document = judge(url, found)
    if fmt == "json":
        print_json({**document, **({"answers": found} if found is not None else {})})
    else:
        click.echo("allowed" if document["allowed"] else f"not allowed: {document['reason']}")


def judge(url: str, answers: list[str] | None) -> dict[str, Any]:
    """Return what is printed about one URL."""
    verdict = addresses.check_url(url, answers)
    return {"url": url, "allowed": verdict.allowed, "reason": verdict.reason}


def _judge_lines(lines: Any) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.strip():
            yield _judge_line(line)


def _judge_line(line: str) -> dict[str, Any]:
    """Judge one JSON line; a line that cannot be read is refused like a bad address, so that order holds."""
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError):
        return {"url": None, "allowed": False, "reason": "the line is not JSON"}
    if not isinstance(asked, dict) or not isinstance(asked.get("url"), str):
        return {"url": None, "allowed": False, "reason": "the line has no text under `url`"}
    answers = asked.get("answers")
    if answers is not None and not (isinstance(answers, list) and all(isinstance(a, str) for a in answers)):
        return {"url": asked["url"], "allowed": False, "reason": "`answers` is not a list of addresses"}
    return judge(asked["url"], answers)


def _given(answers: str) -> list[str]:
    return [part.strip() for part in answers.split(",") if part.strip()]


def _look_up(url: str) -> list[str] | None:
    """Return the addresses of a URL's name; None where its spelling or its being an address decides."""
    verdict = addresses.check_url(url)
    if not verdict.allowed or verdict.literal:
        return None
    try:
        found = socket.getaddrinfo(verdict.host, verdict.port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(answer[4][0]) for answer in found))
