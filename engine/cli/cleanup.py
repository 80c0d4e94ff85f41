"""`offload cleanup`: remove what is past its keep, now and in this process."""

import click

from engine.cli.output import format_option, print_json
from engine.services import retention


@click.command()
@click.option("--dry-run", is_flag=True, help="Only count what would be removed.")
@format_option
def command(dry_run: bool, fmt: str) -> None:
    """Remove expired files, ended tasks and old rows past their retention."""
    report = retention.clean_up(dry_run=dry_run)
    if fmt == "json":
        print_json(report.document())
        return
    verb = "would be removed" if dry_run else "removed"
    for kind, n in report.rows.items():
        click.echo(f"{n:>10,} {kind} {verb}")
    click.echo(f"{report.n_files:>10,} files {verb}, {report.file_bytes:,} bytes")
