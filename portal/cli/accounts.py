"""Commands that manage accounts: invitations, password resets, quotas and trash."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from flask import current_app
from sqlalchemy import Integer, cast, select

from portal.accounts import accounts, invitations
from portal.activity.record import record
from portal.core import text
from portal.core.database import db, total
from portal.core.models import Account, Entry, Role, new_token
from portal.files import trash
from portal.files.quota import quota_of, usages
from portal.identity import second_factor
from portal.web.filters import human_size, human_time

from . import passwords
from .group import needs_schema, parse_size, portal, show, takes_json
from .shown_once import printed_before_commit

_LONGEST_VALIDITY = 365


takes_administrator = click.option(
    "--administrator", is_flag=True, help="Let the account manage all accounts."
)


def changes_account(command: Callable[..., str]) -> Callable[..., None]:
    """Pass the account NAME to a command, and record and print the change that it returns."""

    @click.argument("name")
    @needs_schema()
    @wraps(command)
    def changed(name: str, **options: Any) -> None:
        account = find(name)
        what = command(account, **options)
        _record(account, what)
        click.echo(f"Changed {account.name}: {what}.", err=True)

    return changed


@portal.command("create-account")
@click.argument("name")
@takes_administrator
@passwords.takes_password
@needs_schema()
def create_account(name: str, administrator: bool, password_stdin: bool, generate: bool) -> None:
    """Create the account NAME. Prompt for the password, unless an option says otherwise."""
    accounts.refuse_taken(name)  # before anybody is asked for a password
    password = passwords.read(password_stdin, generate)
    with passwords.printed(password, generate):
        account = accounts.create(name, password, _role(administrator))
    _record(account, "created")


@portal.command("set-password")
@passwords.takes_password
@changes_account
def set_password(account: Account, password_stdin: bool, generate: bool) -> str:
    """Set a new password for the account NAME, and sign it out everywhere."""
    password = passwords.read(password_stdin, generate)
    with passwords.printed(password, generate):
        accounts.set_password(account, password)
    return "password"


@portal.command("accounts")
@takes_json
@needs_schema()
def list_accounts(as_json: bool) -> None:
    """List the accounts."""
    rows, lines = [], []
    found = accounts.list_with_last_use()
    usage = usages(one for one, _ in found)
    for one, used_at in found:
        row = {
            "name": one.name,
            "created_at": one.created_at.isoformat(),
            "role": one.role.value,
            "active": one.is_active,
            "second_factor": one.has_second_factor,
            "used": usage[one.id].used,
            "quota": usage[one.id].quota,
            "last_used_at": used_at.isoformat() if used_at else None,
        }
        rows.append(row)
        notes = [one.role.value] * one.is_administrator + ["deactivated"] * (not one.is_active)
        note = f" ({', '.join(notes)})" if notes else ""
        lines.append(f"{one.created_at:%Y-%m-%d %H:%M} UTC  {one.name}{note}")
    show(rows, lines, as_json=as_json)


@portal.command("invite")
@takes_administrator
@click.option("--quota", type=parse_size, metavar="SIZE", help="The account's quota, such as 5G.")
@click.option("--note", default="", help="Who the invitation is for. Only administrators see it.")
@click.option(
    "--days",
    type=click.IntRange(1, _LONGEST_VALIDITY),
    default=invitations.INVITATION_DAYS,
    show_default=True,
    help="Days until the link expires.",
)
@takes_json
@needs_schema()
def invite(administrator: bool, quota: int | None, note: str, days: int, as_json: bool) -> None:
    """Create a link with which somebody can create an account, once."""
    token = new_token()
    with printed_before_commit(lambda: _print_link("invitation", token, as_json)):
        invitations.create_invitation(_role(administrator), quota, note, days, token=token)
    record("change account", detail="an invitation")


@portal.command("reset-link")
@takes_json
@changes_account
def reset_link(account: Account, as_json: bool) -> str:
    """Create a link with which NAME can choose a new password, once, within a day."""
    token = new_token()
    with printed_before_commit(lambda: _print_link("reset", token, as_json)):
        invitations.create_reset_link(account, token=token)
    return "reset link"


@portal.command("deactivate")
@changes_account
def deactivate(account: Account) -> str:
    """Sign the account NAME out everywhere, and refuse sign-ins. Its files are kept."""
    accounts.deactivate(account)
    return "deactivated"


@portal.command("activate")
@changes_account
def activate(account: Account) -> str:
    """Let the deactivated account NAME sign in again."""
    accounts.activate(account)
    return "activated"


@portal.command("set-role")
@changes_account
@click.argument("role", type=click.Choice([role.value for role in Role]))
def set_role(account: Account, role: str) -> str:
    """Make the account NAME a member or an administrator."""
    accounts.set_role(account, Role(role))
    return f"role {role}"


@portal.command("set-quota")
@changes_account
@click.argument("size")
def set_quota(account: Account, size: str) -> str:
    """Set the quota of the account NAME to SIZE, such as 5G, or 'default' for PORTAL_QUOTA."""
    accounts.set_quota(account, None if size == "default" else parse_size(size))
    return f"quota {human_size(quota_of(account))}"


@portal.command("second-factor-off")
@changes_account
def second_factor_off(account: Account) -> str:
    """Switch off the second factor of NAME, and sign it out everywhere."""
    second_factor.reset_lost(account)
    return "second factor off"


@portal.command("delete-account")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@needs_schema()
def delete_account(name: str, yes: bool) -> None:
    """Delete the account NAME and its files permanently."""
    account = find(name)
    number, size = accounts.count_files(account)
    if not yes:
        what = f"{number} {'file' if number == 1 else 'files'}, {human_size(size)}"
        typed = click.prompt(f"This permanently deletes {what}. Type the account's name to confirm")
        if text.fold(typed) != account.name_key:
            raise click.ClickException("This is not the account's name. Nothing was deleted.")
    own_name, account_id = account.name, account.id
    accounts.delete(account)
    record("change account", owner_id=account_id, detail=f"{own_name}: deleted")


@portal.command()
@takes_json
@needs_schema()
def quota(as_json: bool) -> None:
    """List how much each account uses, and its quota."""
    found = db.session.scalars(select(Account).order_by(Account.name_key)).all()
    usage = usages(found)
    rows: list[dict[str, Any]] = [
        {"name": one.name, "used": usage[one.id].used, "quota": usage[one.id].quota}
        for one in found
    ]
    lines = (
        f"{human_size(row['used']):>10} of {human_size(row['quota']):>10}  {row['name']}"
        for row in rows
    )
    show(rows, lines, as_json=as_json)


@portal.command("trash")
@click.option("--empty", "name", metavar="NAME", help="Delete permanently what NAME has there.")
@takes_json
@needs_schema()
def list_trash(name: str | None, as_json: bool) -> None:
    """List how much each account has in the trash, or empty the trash of one."""
    if name is not None:
        purged = trash.empty(find(name).id)
        files = text.counted(purged.files, "file")
        line = f"{files}, {human_size(purged.bytes)}: deleted permanently."
        show(purged._asdict(), [line], as_json=as_json)
        return
    found = db.session.execute(
        select(
            Account.name,
            total(cast(Entry.is_file, Integer)).label("files"),
            total(Entry.size).label("bytes"),
        )
        .join(Account, Account.id == Entry.owner_id)
        .where(Entry.trash_id.is_not(None), Entry.version_of.is_(None))
        .group_by(Account.id)
        .order_by(Account.name_key)
    )
    rows = [dict(row) for row in found.mappings()]
    lines = (
        f"{human_size(row['bytes']):>10} in {text.counted(row['files'], 'file')}  {row['name']}"
        for row in rows
    )
    show(rows, lines, as_json=as_json)


def _role(administrator: bool) -> Role:
    return Role.ADMINISTRATOR if administrator else Role.MEMBER


def find(name: str) -> Account:
    """Find an account by its name, or raise :exc:`click.ClickException`."""
    account = accounts.find(name)
    if account is None:
        raise click.ClickException(
            f"There is no account {name!r}. To list them: flask --app portal portal accounts"
        )
    return account


def _record(account: Account, what: str) -> None:
    record("change account", owner_id=account.id, detail=f"{account.name}: {what}")


def _print_link(kind: str, token: str, as_json: bool) -> None:
    """Print a link. Without PORTAL_BASE_URL, it is only a path."""
    link, url = invitations.find(token), invitations.link_url(kind, token)
    row = {"id": link.public_id, "url": url, "expires_at": link.expires_at.isoformat()}
    show(row, [url], as_json=as_json)
    if as_json:
        return
    click.echo(f"It works once, until {human_time(link.expires_at)}.", err=True)
    if not current_app.config["BASE_URL"]:
        click.echo("Put the portal's address in front of it, or set PORTAL_BASE_URL.", err=True)
