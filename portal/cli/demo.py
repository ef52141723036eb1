"""The command that creates demo accounts."""

from __future__ import annotations

import click
from flask import current_app

from portal.accounts.accounts import AccountError
from portal.core import datafolder, settings
from portal.demo import create

from .group import needs_schema, portal


@portal.command("demo")
@needs_schema()
def create_demo() -> None:
    """Create accounts with sample files, and print their passwords.

    They are alice, bob and the administrator admin. Run again, it creates nothing and prints the
    same.
    """
    # Two runs at once would each record a password, and the account would have only one of them.
    with datafolder.locked(settings.data_folder(current_app)):
        for name in create.NAMES:
            try:
                password = create.ensure_account(name)
            except AccountError as error:
                click.echo(str(error), err=True)
            else:
                click.echo(f"demo account: {name} {password}")
