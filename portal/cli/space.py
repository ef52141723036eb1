"""Commands about the room that accounts take: quota and trash."""

from __future__ import annotations

import json

import click
from sqlalchemy import Integer, cast, func, select

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Account, Entry
from portal.files import trash
from portal.files.quota import quota_of
from portal.web.filters import human_size

from .group import needs_schema, portal
from .maintenance import takes_json


@portal.command()
@takes_json
@needs_schema
def quota(as_json: bool) -> None:
    """List how much each account has, and how much it may have."""
    found = db.session.scalars(select(Account).order_by(Account.name_key))
    rows = [(one.name, one.used, quota_of(one)) for one in found]
    if as_json:
        names = ("name", "used", "quota")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    for name, used, allowed in rows:
        click.echo(f"{human_size(used):>10} of {human_size(allowed):>10}  {name}")


@portal.command("trash")
@click.option("--empty", "name", metavar="NAME", help="Delete for good what NAME has there.")
@takes_json
@needs_schema
def list_trash(name: str | None, as_json: bool) -> None:
    """List how much each account has in the trash, or empty the trash of one."""
    if name is not None:
        _empty(name, as_json)
        return
    rows = db.session.execute(
        select(Account.name, func.sum(cast(Entry.is_file, Integer)), func.sum(Entry.size))
        .join(Account, Account.id == Entry.owner_id)
        .where(Entry.trash_id.is_not(None))
        .group_by(Account.id)
        .order_by(Account.name_key)
    ).all()
    if as_json:
        names = ("name", "files", "bytes")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    for owner, files, size in rows:
        click.echo(f"{human_size(size):>10} in {files} files  {owner}")


def _empty(name: str, as_json: bool) -> None:
    account = accounts.find(name)
    if account is None:
        raise click.ClickException(
            f"There is no account {name!r}. To see them all: flask --app portal portal accounts"
        )
    purged = trash.empty(account.id)
    if as_json:
        click.echo(json.dumps(purged._asdict(), indent=2))
    else:
        click.echo(f"{purged.files} files, {human_size(purged.bytes)}: deleted for good.")
