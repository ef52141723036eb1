"""Commands about the space that accounts use: quota and trash."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import Integer, cast, func, select

from portal.core.database import db
from portal.core.models import Account, Entry
from portal.files import trash
from portal.files.quota import quota_of
from portal.web.filters import human_size

from .accounts import find
from .group import needs_schema, portal
from .output import show, takes_json


@portal.command()
@takes_json
@needs_schema()
def quota(as_json: bool) -> None:
    """List how much each account uses, and its quota."""
    rows: list[dict[str, Any]] = [
        {"name": account.name, "used": account.used, "quota": quota_of(account)}
        for account in db.session.scalars(select(Account).order_by(Account.name_key))
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
        line = f"{purged.files} files, {human_size(purged.bytes)}: deleted permanently."
        show(purged._asdict(), [line], as_json=as_json)
        return
    found = db.session.execute(
        select(
            Account.name,
            func.sum(cast(Entry.is_file, Integer)).label("files"),
            func.sum(Entry.size).label("bytes"),
        )
        .join(Account, Account.id == Entry.owner_id)
        .where(Entry.trash_id.is_not(None))
        .group_by(Account.id)
        .order_by(Account.name_key)
    )
    rows = [dict(row) for row in found.mappings()]
    lines = (
        f"{human_size(row['bytes']):>10} in {row['files']} files  {row['name']}" for row in rows
    )
    show(rows, lines, as_json=as_json)
