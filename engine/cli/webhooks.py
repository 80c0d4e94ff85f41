"""`offload webhooks`: sign, verify and replay."""

import importlib
import sys

import click

from engine import clock, settings
from engine.cli.output import format_option, print_json
from engine.errors import InvalidInput
from engine.lib import signing


class _WithReplay(click.Group):
    """Loads `replay` only to run it: signing and verifying need neither database nor task types."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), "replay"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "replay":
            found: click.Command = importlib.import_module("engine.cli.webhook_replay").replay
            return found
        return super().get_command(ctx, cmd_name)


@click.group(cls=_WithReplay)
def command() -> None:
    """Sign, verify and replay webhooks."""


@command.command("sign")
@click.option("--secret", "secret_list", required=True, multiple=True, help="`whsec_...`; several sign all.")
@click.option("--id", "message_id", required=True, help="The message id.")
@click.option("--timestamp", required=True, type=click.IntRange(0), help="Seconds since 1970.")
@format_option
def sign(secret_list: tuple[str, ...], message_id: str, timestamp: int, fmt: str) -> None:
    """Print the value of the webhook-signature header for the body on standard input."""
    headers = signing.headers(secret_list, message_id, timestamp, _body())
    if fmt == "json":
        print_json(headers)
    else:
        click.echo(headers["webhook-signature"])


@command.command("verify")
@click.option("--secret", "secret_list", required=True, multiple=True, help="`whsec_...`; any may match.")
@click.option("--id", "message_id", required=True, help="The webhook-id header.")
@click.option("--timestamp", required=True, help="The webhook-timestamp header.")
@click.option("--signature", required=True, help="The webhook-signature header.")
@click.option("--now", type=float, help="Judge the age as of this time, in seconds since 1970.")
@format_option
def verify(
    secret_list: tuple[str, ...], message_id: str, timestamp: str, signature: str, now: float | None, fmt: str
) -> None:
    """Verify the body on standard input; exit 0 if it is genuine, else 1 with the reason."""
    reason = signing.why_invalid(
        secret_list,
        message_id=message_id,
        timestamp=timestamp,
        signature=signature,
        body=_body(),
        now_s=clock.now_ms() / 1000 if now is None else now,
        tolerance_s=settings.get().webhook_tolerance_s,
    )
    if fmt == "json":
        print_json({"valid": reason is None, "reason": reason})
    else:
        click.echo("valid" if reason is None else f"not valid: {reason}")
    if reason is not None:
        sys.exit(1)


def _body() -> bytes:
    if sys.stdin.isatty():
        raise InvalidInput("Give the body on standard input.")
    return sys.stdin.buffer.read()
