"""The commands ``flask --app portal portal …``."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click
from flask import current_app
from flask.cli import AppGroup

from .. import accounts, database, datafolder, demo, settings
from ..accounts import AccountError
from ..models import Account

P = ParamSpec("P")
R = TypeVar("R")

portal = AppGroup("portal", help="Prepare the portal and manage its accounts.")


@portal.command()
def upgrade() -> None:
    """Create the database or bring it up to date."""
    database.upgrade()


def needs_schema(command: Callable[P, R]) -> Callable[P, R]:
    """Stop a command, in words, while the database is not up to date."""

    @wraps(command)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not database.schema_is_current():
            raise click.ClickException(
                "The database is not up to date. Run: flask --app portal portal upgrade"
            )
        return command(*args, **kwargs)

    return checked


def takes_password(command: Callable[P, R]) -> Callable[P, R]:
    """Add the options that say where a password comes from."""
    stdin = click.option(
        "--password-stdin", is_flag=True, help="Read the password from standard input, one line."
    )
    generate = click.option("--generate", is_flag=True, help="Make a password up and print it.")
    return stdin(generate(command))


@portal.command("create-account")
@click.argument("name")
@takes_password
@needs_schema
def create_account(name: str, password_stdin: bool, generate: bool) -> None:
    """Create the account NAME. The password is asked for, unless an option says otherwise."""
    if accounts.find(name):
        raise click.ClickException(f"There is an account {name!r} already, or one like it.")
    password = _password(password_stdin, generate)
    try:
        accounts.create(name, password)
    except AccountError as error:
        raise click.ClickException(str(error)) from error
    _tell(password, generate)


@portal.command("set-password")
@click.argument("name")
@takes_password
@needs_schema
def set_password(name: str, password_stdin: bool, generate: bool) -> None:
    """Give the account NAME a new password, and sign it out everywhere."""
    account = _find(name)
    password = _password(password_stdin, generate)
    try:
        accounts.set_password(account, password)
    except AccountError as error:
        raise click.ClickException(str(error)) from error
    _tell(password, generate)


@portal.command("accounts")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@needs_schema
def list_accounts(as_json: bool) -> None:
    """List the accounts."""
    found = accounts.all_accounts()
    if as_json:
        rows = [{"name": one.name, "created_at": one.created_at.isoformat()} for one in found]
        click.echo(json.dumps(rows, indent=2))
        return
    for one in found:
        click.echo(f"{one.created_at:%Y-%m-%d %H:%M} UTC  {one.name}")


@portal.command("demo")
@needs_schema
def make_demo() -> None:
    """Create the accounts alice and bob with sample files, and print their passwords.

    Run again, it prints the same and creates nothing.
    """
    # Two at once would each record a password, and only one of them would be the account's.
    with datafolder.locked(settings.data_folder(current_app)):
        for name in demo.NAMES:
            try:
                password = demo.ensure_account(name)
            except AccountError as error:
                click.echo(str(error), err=True)
            else:
                click.echo(f"demo account: {name} {password}")


def _find(name: str) -> Account:
    account = accounts.find(name)
    if account is None:
        raise click.ClickException(f"There is no account {name!r}.")
    return account


def _password(from_stdin: bool, generate: bool) -> str:
    if from_stdin and generate:
        raise click.ClickException("Use either --password-stdin or --generate.")
    if generate:
        return secrets.token_urlsafe(15)
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _tell(password: str, generated: bool) -> None:
    """Print a password that nobody else knows; the bare word, for scripts."""
    if generated:
        click.echo(password)
