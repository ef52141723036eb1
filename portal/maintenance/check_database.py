"""Checking the database: its file, the bytes that accounts use, and the tree of folders."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import func, select, update
from sqlalchemy.orm import aliased

from portal.core.database import commit_change, db
from portal.core.models import Account, Entry, Folder
from portal.core.references import name_or_reference
from portal.files import entries, tree

from .backup import read_only
from .check_files import Problem
from .check_values import unusable


def check_database() -> Iterator[Problem]:
    """Let SQLite check its file."""
    for check in ("quick_check", "foreign_key_check"):
        for row in db.session.execute(sa.text(f"PRAGMA {check}")):
            if row[0] != "ok":
                yield Problem("database", check, " ".join(str(value) for value in row))
    db.session.rollback()


def check_values(database: Path) -> Iterator[Problem]:
    """Find values that the portal would not have written, and may not be able to read."""
    try:
        with closing(read_only(database)) as connection:
            for found in unusable(connection):
                yield Problem("value", str(found), "is nothing that the portal writes")
    except sqlite3.Error as error:
        yield Problem("database", "values", str(error))


def check_used() -> Iterator[Problem]:
    """Compare the bytes noted for each account with the sum of its files."""
    total = (
        select(func.coalesce(func.sum(Entry.size), 0))
        .where(Entry.owner_id == Account.id)
        .correlate(Account)
        .scalar_subquery()
    )
    wrong = select(Account.id, Account.name, Account.used, total).where(Account.used != total)
    for account_id, name, used, actual in db.session.execute(wrong).all():
        # One statement: an upload meanwhile is counted either before it or after it.
        again = update(Account).where(Account.id == account_id).values(used=total)
        detail = f"{used} bytes are noted, its files have {actual}"
        yield Problem("used", repr(name), detail, partial(_count_again, again))


def _count_again(statement: sa.Update) -> str:
    commit_change(statement)
    return "counted again"


def check_folders() -> Iterator[Problem]:
    """Check that each entry can be reached: from its owner's root folder, or in the trash."""
    yield from _check_roots()
    for wrong, detail in _misplaced():
        for entry_id in db.session.scalars(select(Entry.id).where(wrong).order_by(Entry.id)).all():
            # A repair before may have included this entry.
            entry = db.session.scalar(select(Entry).where(wrong, Entry.id == entry_id))
            if entry is None:
                continue
            owner = db.session.get_one(Account, entry.owner_id).name
            what = f"{name_or_reference(entry.public_id, entry.name)!r} of {owner!r}"
            yield Problem("folder", what, detail, partial(_bring_back, entry))
            db.session.rollback()


def _check_roots() -> Iterator[Problem]:
    roots = select(Folder.owner_id).where(Folder.parent_id.is_(None))
    for account in db.session.scalars(select(Account).where(Account.id.not_in(roots))).all():
        create = partial(_create_root, account.id)
        yield Problem("folder", repr(account.name), "has no root folder", create)


def _create_root(owner_id: int) -> str:
    db.session.add(Folder(owner_id=owner_id, name=""))
    db.session.commit()
    return "created"


def _misplaced() -> Iterator[tuple[sa.ColumnElement[bool], str]]:
    """Yield the ways in which an entry can be unreachable."""
    parent, first = aliased(Entry), aliased(Entry)
    in_trash = Entry.trash_id.is_not(None)
    around = select(parent.id).where(parent.id == Entry.parent_id).correlate(Entry)
    together = select(first.id).where(first.id == Entry.trash_id, first.trash_id == first.id)
    unknown = sa.or_(~together.correlate(Entry).exists(), Entry.trashed_at.is_(None))
    yield sa.and_(in_trash, unknown), "is in the trash, but cannot be found there"
    yield (
        sa.and_(~in_trash, around.where(parent.trash_id.is_not(None)).exists()),
        "is in a folder in the trash, but not in the trash itself",
    )
    yield around.where(parent.is_file).exists(), "is in a file"
    yield around.where(parent.owner_id != Entry.owner_id).exists(), "is in another account's folder"
    yield sa.and_(Entry.id.not_in(_reachable()), ~in_trash), "is in folders that contain each other"


def _reachable() -> sa.Select[tuple[int]]:
    roots = select(Entry.id).where(Entry.parent_id.is_(None))
    return select(tree.descendants(roots).c.id)


def _bring_back(entry: Entry) -> str:
    """Move an entry to where its owner sees it, and return where that is."""
    entry_id = entry.id
    with entries.changing(entry.owner_id):
        entry = db.session.get_one(Entry, entry_id)
        fit = select(Folder).where(
            Folder.id == entry.parent_id,
            Folder.owner_id == entry.owner_id,
            Folder.trash_id.is_(None),
            Folder.id.in_(_reachable()),
        )
        folder = db.session.scalar(fit) or entries.root_folder(entry.owner_id)
        entry.trash_id = entry.trashed_at = None
        entries.give_name(entry, folder.id, entry.name)
        entry.parent_id = folder.id
        named = name_or_reference(folder.public_id, folder.name)
        return f"moved to {named!r}" if folder.name else "moved to the root folder"
