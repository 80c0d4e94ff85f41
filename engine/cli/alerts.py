"""`offload alerts`: what needs attention, and the rules that watch."""

import click

from engine.cli.output import format_option, print_json, print_table
from engine.queries import alerts as reads
from engine.services import alerts

_ALERTS = {
    "alert_id": "ALERT",
    "state": "STATE",
    "opened_at": "OPENED",
    "cleared_at": "CLEARED",
    "acknowledged_by": "LOOKED AFTER BY",
    "message": "WHAT",
}
_RULES = {"rule_id": "RULE", "state": "STATE", "now": "NOW", "evaluated_at": "EVALUATED", "alarm": "ALARM"}


@click.group()
def command() -> None:
    """List alerts and the rules that raise them."""


@command.command("list")
@click.option("--state", type=click.Choice(["open", "history"]), default="open", show_default=True)
@click.option("--rule", "rule_id", help="Only those of one rule.")
@click.option("--limit", type=click.IntRange(1, reads.MAX_PAGE), default=50, show_default=True)
@click.option("--cursor", help="Go on where a list ended (`next`).")
@format_option
def list_alerts(state: str, rule_id: str | None, limit: int, cursor: str | None, fmt: str) -> None:
    """List the open alerts, or all that are kept, newest first."""
    page = reads.page(only_open=state == "open", rule_id=rule_id, limit=limit, cursor=cursor)
    documents = [alert.document() for alert in page.items]
    if fmt == "json":
        print_json({"items": documents, "next": page.next})
        return
    print_table(documents, _ALERTS, "Nothing needs attention." if state == "open" else "No alert yet.")
    if page.next:
        click.echo(f"More: --cursor {page.next}")


@command.command("rules")
@format_option
def list_rules(fmt: str) -> None:
    """List the rules with where they stand, those with an open alert first."""
    standings = reads.standings()
    if fmt == "json":
        print_json({"items": [standing.document() for standing in standings], "next": None})
        return
    rows = [
        {
            **standing.document(),
            "state": "off" if not standing.rule.enabled else "alert" if standing.open else "good",
            "now": None
            if standing.value is None
            else alerts.in_unit(standing.rule, alerts.figure(standing.value)),
            "alarm": alerts.in_words(standing.rule),
        }
        for standing in standings
    ]
    print_table(rows, _RULES, "No rules; a worker makes those to begin with.")
