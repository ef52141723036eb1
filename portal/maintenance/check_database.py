"""Checking the database: its file, its values, and whether its rows contradict each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from portal.accounts import usernames
from portal.core import text
from portal.core.database import change, commit_change, db, is_sqlite, total
from portal.core.models import Account, Entry, Folder, now
from portal.core.references import name_or_reference
from portal.files import entries, tree

from .backup import read_only
from .check_files import Problem
from .check_rows import (
    TAKES_FOLDERS,
    Contradiction,
    add_functions,
    contradictions,
    still_breaks,
)
from .check_values import unusable
from .snapshot import readable


def check_database() -> Iterator[Problem]:
    """Let SQLite check its file; a server's administrator checks those of PostgreSQL."""
    if not is_sqlite():
        return
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


def refusal(database: Path) -> str | None:
    """Return why a restore would refuse a backup of a database; None if it would not."""
    try:
        with closing(read_only(database)) as connection:
            for value in unusable(connection):
                return f"{value} is nothing that the portal writes"
            if row := connection.execute("PRAGMA foreign_key_check").fetchone():
                return f"a row of {row[0]} refers to a row that is missing from {row[2]}"
            for found in contradictions(connection):
                if found.rule.kind != "key":
                    return str(found)
    except sqlite3.Error as error:
        return str(error)
    return None


def check_rows(database: Path) -> Iterator[Problem]:
    """Find rows that contradict themselves or others."""
    is_repaired = False
    try:
        with closing(read_only(database)) as connection:
            for found in contradictions(connection):
                # A repair before may have included this row, or it was deleted meanwhile.
                if _still_breaks(connection, found, database, is_copy_old=is_repaired):
                    mend = _MENDS.get((found.rule.kind, found.rule.table))
                    what, detail = _name_of(found), found.rule.words
                    yield (
                        problem := Problem(
                            found.rule.kind, what, detail, mend and partial(mend, found.row)
                        )
                    )
                    is_repaired = is_repaired or problem.repaired is not None
    except sqlite3.Error as error:
        yield Problem("database", "rows", str(error))


def _still_breaks(
    connection: sqlite3.Connection, found: Contradiction, database: Path, *, is_copy_old: bool
) -> bool:
    # Of another kind, a repair changes its own row only.
    if is_sqlite() or not is_copy_old or found.rule.kind != "folder":
        return still_breaks(connection, found)
    with readable(database) as path, closing(read_only(path)) as another:
        add_functions(another)
        return still_breaks(another, found)


def _name_of(found: Contradiction) -> str:
    """Return what those who run the portal know a row by."""
    table, row = found.rule.table, found.row
    named = f"{table}, row {row}"
    if table == "account" and (name := _account_name(row)):
        named = repr(name)
    elif table == "entry" and (entry := db.session.get(Entry, row)):
        owner = _account_name(entry.owner_id)
        named = f"{name_or_reference(entry.public_id, entry.name)!r} of {owner!r}"
    db.session.rollback()
    return named


def _account_name(account_id: int) -> str | None:
    return db.session.scalar(select(Account.name).where(Account.id == account_id))


def _count_again(account_id: int) -> str:
    # One statement: an upload meanwhile is counted either before it or after it.
    held = select(total(Entry.size)).where(Entry.owner_id == account_id)
    counted = update(Account).where(Account.id == account_id)
    commit_change(counted.values(used=held.scalar_subquery()))
    return "counted again"


def _create_root(owner_id: int) -> str:
    db.session.add(Folder(owner_id=owner_id, name=""))
    db.session.commit()
    return "created"


def _compute_account_keys(account_id: int) -> str | None:
    name = db.session.get_one(Account, account_id).name
    keys = {"name_key": text.fold(name), "skeleton": usernames.skeleton(name)}
    try:
        commit_change(update(Account).where(Account.id == account_id).values(keys))
    except IntegrityError:  # another account has that name
        db.session.rollback()
        return None
    return "computed again"


def _compute_entry_keys(entry_id: int) -> str:
    with entries.changing(db.session.get_one(Entry, entry_id).owner_id):
        entry = db.session.get_one(Entry, entry_id)
        if entry.parent_id is None or entry.trash_id is not None:
            entry.name = entry.name
        else:
            entries.give_name(entry, entry.parent_id, entry.name)
    return "computed again"


def _bring_back(entry_id: int) -> str | None:
    """Move an entry to where its owner sees it, and return where that is."""
    try:
        with entries.changing(db.session.get_one(Entry, entry_id).owner_id):
            entry = db.session.get_one(Entry, entry_id)
            _take_from_trash(entry)
            fit = select(Folder).where(
                Folder.id == entry.parent_id,
                Folder.owner_id == entry.owner_id,
                Folder.trash_id.is_(None),
                sa.text(TAKES_FOLDERS),
            )
            folder = db.session.scalar(fit) or entries.root_folder(entry.owner_id)
            entries.give_name(entry, folder.id, entry.name)
            entry.parent_id = folder.id
            named = name_or_reference(folder.public_id, folder.name)
            return f"moved to {named!r}" if folder.name else "moved to the root folder"
    except IntegrityError:  # what is in it has to be brought back first
        return None


def _leave_in_trash(entry_id: int) -> str:
    """Make a version something in the trash, where its owner sees it."""
    version = update(Entry).where(Entry.id == entry_id)
    with entries.changing(db.session.get_one(Entry, entry_id).owner_id):
        change(version.values(trash_id=Entry.id, trashed_at=now(), version_of=None))
    return "left in the trash"


def _take_from_trash(entry: Entry) -> None:
    """Take an entry from the trash, with what lies in it and was put there with it."""
    inside = tree.descendants([entry.id], Entry.trash_id == entry.trash_id)
    of_both = Entry.id.in_(select(inside.c.id))
    change(update(Entry).where(of_both).values(trash_id=None, trashed_at=None))
    db.session.refresh(entry)


_MENDS: Mapping[tuple[str, str], Callable[[int], str | None]] = {
    ("folder", "account"): _create_root,
    ("folder", "entry"): _bring_back,
    ("version", "entry"): _leave_in_trash,
    ("key", "account"): _compute_account_keys,
    ("key", "entry"): _compute_entry_keys,
    ("used", "account"): _count_again,
}
"""By kind and table, what repairs a row."""
