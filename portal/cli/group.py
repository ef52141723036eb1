"""The group of all commands, and their check that the database is up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask.cli import AppGroup

from portal.core import database

portal = AppGroup("portal", help="Prepare the portal and manage its accounts.")


@contextmanager
def needs_schema() -> Iterator[None]:
    """Refuse to run a command while the database is not up to date."""
    if not database.schema_is_current():
        raise click.ClickException(
            "The database is not up to date. Run: flask --app portal portal upgrade"
        )
    yield
