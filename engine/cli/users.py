"""`offload users`: add people, give roles, make one-time sign-in links and API tokens. It never asks."""

from typing import Any

import click

from engine import settings
from engine.cli.output import COMMAND_LINE, format_option, print_json, print_table
from engine.queries import access as reads
from engine.services import access
from engine.words import Role

_ROLES = click.Choice([role.value for role in Role])
_COLUMNS = {
    "name": "NAME",
    "role": "ROLE",
    "has_password": "PASSWORD",
    "created_at": "ADDED",
    "signed_in_at": "LAST SIGN-IN",
    "disabled_at": "SHUT OUT",
}
_TOKEN_COLUMNS = {"token_id": "TOKEN", "name": "NAME", "label": "LABEL", "created_at": "MADE"}


@click.group()
def command() -> None:
    """Add people, give roles, make sign-in links and tokens."""


@command.command("add")
@click.argument("name")
@click.option("--role", type=_ROLES, required=True, help="viewer < staff < ops < admin.")
@format_option
def add(name: str, role: str, fmt: str) -> None:
    """Add a person and print a link that signs them in once, within 24 h."""
    _print_link(name, access.add_user(COMMAND_LINE, name, Role(role)), fmt)


@command.command("link")
@click.argument("name")
@format_option
def link(name: str, fmt: str) -> None:
    """Print a fresh link that signs a person in once, within 24 h."""
    _print_link(name, access.new_link(COMMAND_LINE, name), fmt)


@command.command("list")
@format_option
def list_users(fmt: str) -> None:
    """List everybody."""
    documents = [user.document() for user in reads.users()]
    if fmt == "json":
        print_json({"items": documents, "next": None})
    else:
        print_table(documents, _COLUMNS, "Nobody yet: ./offload users add NAME --role ROLE")


@command.command("role")
@click.argument("name")
@click.argument("role", type=_ROLES)
def role(name: str, role: str) -> None:
    """Change what a person may do."""
    access.set_role(COMMAND_LINE, name, Role(role))
    click.echo(f"{name} is {role} from now on.")


@command.command("token")
@click.argument("name")
@click.option("--label", default="", help="What it is for, to recognise it later.")
def token(name: str, label: str) -> None:
    """Print a new API token of a person, and nothing else; it is shown this once."""
    click.echo(access.new_token(COMMAND_LINE, name, label))


@command.command("tokens")
@click.argument("name", required=False)
@format_option
def tokens(name: str | None, fmt: str) -> None:
    """List the tokens of a person, or all; not the tokens themselves, which are not stored."""
    documents = [token.document() for token in reads.tokens(name)]
    if fmt == "json":
        print_json({"items": documents, "next": None})
    else:
        print_table(documents, _TOKEN_COLUMNS, "No tokens.")


@command.command("revoke")
@click.argument("token_id")
def revoke(token_id: str) -> None:
    """End a token at once; TOKEN_ID as `users tokens` shows it."""
    access.revoke_token(COMMAND_LINE, token_id)
    click.echo("Revoked.")


@command.command("sign-out")
@click.argument("name")
def sign_out(name: str) -> None:
    """End all sessions of a person at once; tokens stay."""
    click.echo(f"{access.end_sessions(COMMAND_LINE, name)} sessions ended.")


@command.command("disable")
@click.argument("name")
def disable(name: str) -> None:
    """Shut a person out at once: sessions, tokens and links end, their work stays."""
    access.disable_user(COMMAND_LINE, name)
    click.echo(f"{name} is shut out.")


@command.command("enable")
@click.argument("name")
def enable(name: str) -> None:
    """Let a person back in; they need a new link, and new tokens."""
    access.enable_user(COMMAND_LINE, name)
    click.echo(f"{name} may sign in again: ./offload users link {name}")


def _print_link(name: str, path: str, fmt: str) -> None:
    url = access.address() + path
    document: dict[str, Any] = {"name": name, "link": url, "valid_h": settings.get().signin_link_h}
    if fmt == "json":
        print_json(document)
    else:
        click.echo(url)
