"""`offload webhooks replay`: deliver again."""

from datetime import datetime

import click

from engine import clock, tasks
from engine.cli.output import COMMAND_LINE, MOMENT, format_option, print_json
from engine.errors import InvalidInput
from engine.services import webhooks


@click.command("replay")
@click.argument("delivery_id", required=False)
@click.option("--failed", is_flag=True, help="All that failed since --since.")
@click.option("--since", type=MOMENT, help="ISO 8601 with its offset.")
@click.option("--endpoint", "endpoint_id", help="With --failed, only those of one endpoint.")
@click.option("--owner", help="With --failed, only those of one person.")
@format_option
def replay(
    delivery_id: str | None,
    failed: bool,
    since: datetime | None,
    endpoint_id: str | None,
    owner: str | None,
    fmt: str,
) -> None:
    """Deliver again what has ended: DELIVERY_ID, or everything that failed since a time."""
    if failed == bool(delivery_id) or (failed and since is None):
        raise InvalidInput("Give a DELIVERY_ID, or --failed with --since.")
    tasks.load()
    if delivery_id:
        ids = [delivery_id]
        webhooks.replay(COMMAND_LINE, delivery_id)
    else:
        assert since is not None
        ids = webhooks.replay_failed(
            COMMAND_LINE,
            since_ms=clock.to_ms(since),
            endpoint_id=endpoint_id,
            owner=owner,
            everybody=owner is None,
        )
    if fmt == "json":
        print_json({"n_deliveries": len(ids), "delivery_ids": ids})
    else:
        click.echo(f"{len(ids)} deliveries are made again.")
