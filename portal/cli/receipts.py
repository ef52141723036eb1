"""The command that takes from the web server's log how downloads ended."""

from __future__ import annotations

import time
from pathlib import Path

import click
from sqlalchemy.exc import OperationalError

from flask_delegate import receipts as logs

from ..activity import receipts
from ..database import db
from .group import needs_schema, portal

_PATIENCE = 5
"""Seconds."""


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
            _store(line)
    except OSError as error:
        raise click.ClickException(f"{log} cannot be read: {error.strerror}.") from error
    except KeyboardInterrupt:
        raise SystemExit(0) from None


def _store(line: logs.Receipt) -> None:
    """Note a line, and wait where the database is locked or the disk full: it passes."""
    while True:
        try:
            receipts.store(line)
        except OperationalError as error:
            db.session.rollback()
            click.echo(f"The database cannot be written: {error.orig}. Trying again.", err=True)
            time.sleep(_PATIENCE)
        else:
            return
