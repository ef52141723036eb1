"""The group of all commands, and their check that the database is up to date."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click
from flask.cli import AppGroup

from portal.core import database

P = ParamSpec("P")
R = TypeVar("R")

portal = AppGroup("portal", help="Prepare the portal and manage its accounts.")


def needs_schema(command: Callable[P, R]) -> Callable[P, R]:
    """Refuse to run a command while the database is not up to date."""

    @wraps(command)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not database.schema_is_current():
            raise click.ClickException(
                "The database is not up to date. Run: flask --app portal portal upgrade"
            )
        return command(*args, **kwargs)

    return checked
