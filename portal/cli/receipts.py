"""The command that takes from the web server's log how downloads ended."""

from __future__ import annotations

from pathlib import Path

import click

from flask_delegate import receipts as logs

from ..activity import receipts
from .group import needs_schema, portal


@portal.command("receipts")
@click.argument("log", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--follow", is_flag=True, help="Go on as LOG grows, and when it is rotated.")
@needs_schema
def read_receipts(log: Path, follow: bool) -> None:
    """Note how downloads ended, by the web server's LOG.

    It may be read any number of times. The web server writes it where its configuration was made
    with --receipts.
    """
    try:
        for line in logs.follow(log) if follow else logs.read(log):
            receipts.store(line)
    except OSError as error:
        raise click.ClickException(f"{log} cannot be read: {error.strerror}.") from error
    except KeyboardInterrupt:
        raise SystemExit(0) from None
