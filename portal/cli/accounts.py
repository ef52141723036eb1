"""Commands that manage accounts, invitations and links for new passwords."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click
from flask import current_app

from portal.accounts import accounts, invitations
from portal.accounts.accounts import AccountError
from portal.core import text
from portal.core.models import Account, OneTimeLink, Role
from portal.files.quota import quota_of
from portal.identity import second_factor
from portal.web.filters import human_size, human_time

from ..activity.record import record
from .group import needs_schema, portal
from .sizes import SIZE

P = ParamSpec("P")
R = TypeVar("R")

_LONGEST_VALIDITY = 365


def takes_password(command: Callable[P, R]) -> Callable[P, R]:
    """Add the options that say where a password comes from."""
    stdin = click.option(
        "--password-stdin", is_flag=True, help="Read the password from standard input, one line."
    )
    generate = click.option("--generate", is_flag=True, help="Make a password up and print it.")
    return stdin(generate(command))


takes_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
takes_administrator = click.option(
    "--administrator", is_flag=True, help="The account will manage the others."
)


def in_words(command: Callable[P, R]) -> Callable[P, R]:
    """Have a command say what cannot be done with an account, or while the schema is old."""

    @wraps(command)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except AccountError as error:
            raise click.ClickException(str(error)) from error
        except UnicodeError as error:
            raise click.ClickException(
                "Something here is not UTF-8, and nothing was changed. Check the terminal's"
                " character set."
            ) from error

    return needs_schema(checked)


@portal.command("create-account")
@click.argument("name")
@takes_administrator
@takes_password
@in_words
def create_account(name: str, administrator: bool, password_stdin: bool, generate: bool) -> None:
    """Create the account NAME. The password is asked for, unless an option says otherwise."""
    if accounts.find(name):
        raise click.ClickException(f"There is an account {name!r} already, or one like it.")
    password = _password(password_stdin, generate)
    account = accounts.create(name, password, _role(administrator))
    _record(account, "created")
    _tell(password, generate)


@portal.command("set-password")
@click.argument("name")
@takes_password
@in_words
def set_password(name: str, password_stdin: bool, generate: bool) -> None:
    """Give the account NAME a new password, and sign it out everywhere."""
    account = _find(name)
    password = _password(password_stdin, generate)
    accounts.set_password(account, password)
    _record(account, "password")
    _tell(password, generate)


@portal.command("accounts")
@takes_json
@in_words
def list_accounts(as_json: bool) -> None:
    """List the accounts."""
    found = accounts.with_last_use()
    if as_json:
        rows = [
            {
                "name": one.name,
                "created_at": one.created_at.isoformat(),
                "role": one.role.value,
                "active": one.is_active,
                "second_factor": one.has_second_factor,
                "used": one.used,
                "quota": quota_of(one),
                "last_used_at": used_at.isoformat() if used_at else None,
            }
            for one, used_at in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for one, _ in found:
        notes = [one.role.value] if one.is_administrator else []
        notes += [] if one.is_active else ["deactivated"]
        note = f" ({', '.join(notes)})" if notes else ""
        click.echo(f"{one.created_at:%Y-%m-%d %H:%M} UTC  {one.name}{note}")


@portal.command("invite")
@takes_administrator
@click.option("--quota", type=SIZE, help="What the account may keep, such as 5G.")
@click.option("--note", default="", help="Whom the invitation is for. Administrators see it.")
@click.option(
    "--days",
    type=click.IntRange(1, _LONGEST_VALIDITY),
    default=invitations.INVITATION_DAYS,
    show_default=True,
    help="How long the link works.",
)
@takes_json
@in_words
def invite(administrator: bool, quota: int | None, note: str, days: int, as_json: bool) -> None:
    """Make a link that a new person makes an account with, once."""
    link, token = invitations.invite(_role(administrator), quota, note, days)
    record("change account", detail="an invitation")
    _tell_link(link, invitations.address("invitation", token), as_json)


@portal.command("reset-link")
@click.argument("name")
@takes_json
@in_words
def reset_link(name: str, as_json: bool) -> None:
    """Make a link that NAME chooses a new password with, once, within a day."""
    account = _find(name)
    link, token = invitations.allow_reset(account)
    _record(account, "reset link")
    _tell_link(link, invitations.address("reset", token), as_json)


@portal.command("deactivate")
@click.argument("name")
@in_words
def deactivate(name: str) -> None:
    """Sign the account NAME out everywhere, and let nobody sign in to it. Its files stay."""
    account = _find(name)
    accounts.deactivate(account)
    _record(account, "deactivated")


@portal.command("activate")
@click.argument("name")
@in_words
def activate(name: str) -> None:
    """Let the deactivated account NAME sign in again."""
    account = _find(name)
    accounts.activate(account)
    _record(account, "activated")


@portal.command("set-role")
@click.argument("name")
@click.argument("role", type=click.Choice([role.value for role in Role]))
@in_words
def set_role(name: str, role: str) -> None:
    """Make the account NAME a member or an administrator."""
    account = _find(name)
    accounts.set_role(account, Role(role))
    _record(account, f"role {role}")


@portal.command("set-quota")
@click.argument("name")
@click.argument("size")
@in_words
def set_quota(name: str, size: str) -> None:
    """Let the account NAME keep SIZE, such as 5G; 'default' is what PORTAL_QUOTA says."""
    account = _find(name)
    accounts.set_quota(account, None if size == "default" else SIZE.convert(size, None, None))
    _record(account, "quota")


@portal.command("second-factor-off")
@click.argument("name")
@in_words
def second_factor_off(name: str) -> None:
    """Let NAME, whose phone is lost, sign in with the password alone, and sign it out now."""
    account = _find(name)
    second_factor.reset_lost(account)
    _record(account, "second factor off")


@portal.command("delete-account")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@in_words
def delete_account(name: str, yes: bool) -> None:
    """Delete the account NAME and all its files, for good."""
    account = _find(name)
    number, size = accounts.count_files(account)
    if not yes:
        what = f"{number} {'file' if number == 1 else 'files'}, {human_size(size)}"
        typed = click.prompt(f"This deletes {what}, for good. Type the account's name to go on")
        if text.fold(typed) != account.name_key:
            raise click.ClickException("That is another name; nothing was deleted.")
    own_name, account_id = account.name, account.id
    accounts.delete(account)
    record("change account", owner_id=account_id, detail=f"{own_name}: deleted")


def _role(administrator: bool) -> Role:
    return Role.ADMINISTRATOR if administrator else Role.MEMBER


def _find(name: str) -> Account:
    account = accounts.find(name)
    if account is None:
        raise click.ClickException(f"There is no account {name!r}.")
    return account


def _record(account: Account, what: str) -> None:
    record("change account", owner_id=account.id, detail=f"{account.name}: {what}")


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


def _tell_link(link: OneTimeLink, path: str, as_json: bool) -> None:
    """Print a link; without PORTAL_BASE_URL, only its path is known."""
    if as_json:
        row = {"id": link.public_id, "url": path, "expires_at": link.expires_at.isoformat()}
        click.echo(json.dumps(row, indent=2))
        return
    click.echo(path)
    click.echo(f"It works once, until {human_time(link.expires_at)}.", err=True)
    if not current_app.config["BASE_URL"]:
        click.echo("Put the portal's address in front, or set PORTAL_BASE_URL.", err=True)
