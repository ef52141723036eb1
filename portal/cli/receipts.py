"""The command that reads from the web server's log how downloads ended."""

from __future__ import annotations

import time
from pathlib import Path

import click
from sqlalchemy.exc import OperationalError

from flask_delegate import receipts as logs
from portal.activity import receipts
from portal.core.database import db

from .group import needs_schema, portal

_PATIENCE = 5
"""Seconds until the next try to write a database that is locked or full."""
_PAUSE = 0.5
"""Seconds until the log is read again after its end."""
_MOST = 500
"""Lines in one transaction."""


@portal.command("receipts")
@click.argument("log", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--follow", is_flag=True, help="Keep reading as LOG grows and is rotated.")
@needs_schema()
def read_receipts(log: Path, follow: bool) -> None:
    """Store how downloads ended, from the web server's LOG.

    A log can be read any number of times. The web server writes it if its configuration was
    created with --receipts.
    """
    try:
        _read(log, follow=follow)
    except OSError as error:
        raise click.ClickException(f"{log} cannot be read: {error.strerror}.") from error
    except KeyboardInterrupt:
        raise SystemExit(0) from None


def _read(log: Path, *, follow: bool) -> None:
    """Store many lines at once, so that the portal can write in between."""
    waiting: list[logs.Receipt] = []

    def rest() -> None:
        _store(waiting)
        time.sleep(_PAUSE)

    for line in logs.follow(log, wait=rest) if follow else logs.read(log):
        waiting.append(line)
        if len(waiting) >= _MOST:
            _store(waiting)
    _store(waiting)


def _store(lines: list[logs.Receipt]) -> None:
    """Store the lines and empty the list; wait while the database is locked or the disk full."""
    while lines:
        try:
            receipts.store(lines)
        except OperationalError as error:
            db.session.rollback()
            click.echo(f"The database cannot be written: {error.orig}. Trying again.", err=True)
            time.sleep(_PATIENCE)
        else:
            lines.clear()
