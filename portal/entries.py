"""What folders hold: found, put in place, counted against its owner's quota."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from flask import current_app
from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.exc import IntegrityError

from . import names
from .database import db
from .models import Account, Entry, Folder, StoredFile

E = TypeVar("E", bound=Entry)


class QuotaExceededError(Exception):
    """An account may not have that many bytes.

    :param quota: bytes that it may have in all.
    :param used: bytes that it has.
    """

    def __init__(self, quota: int, used: int) -> None:
        super().__init__(f"{used} of {quota} bytes are used")
        self.quota = quota
        self.used = used


def root_folder(owner_id: int) -> Folder:
    """Give the folder that holds all that an account has."""
    root = select(Folder).where(Folder.owner_id == owner_id, Folder.parent_id.is_(None))
    return db.session.scalars(root).one()


def quota_of(account: Account) -> int:
    """Tell how many bytes an account may have."""
    return int(current_app.config["QUOTA"]) if account.quota is None else account.quota


def free_space(account: Account) -> int:
    """Tell how many more bytes an account may have."""
    return max(quota_of(account) - account.used, 0)


def place(entry: E, folder: Folder) -> E:
    """Put a new entry into a folder, under its name or, if that is taken, the next that is free.

    :param entry: with ``name`` as it is wanted, and not in the database.
    :raises QuotaExceededError: if its owner may not have that many bytes more.
    :raises sqlalchemy.exc.OperationalError: if the database cannot be written.
    """
    entry.owner_id, entry.parent_id = folder.owner_id, folder.id
    for name in names.numbered(entry.name):
        if is_taken(folder, name):
            continue
        entry.name, entry.name_key = name, names.fold(name)
        try:
            if entry.size:
                charge(entry.owner_id, entry.size)
            db.session.add(entry)
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            # Another request may have taken the name meanwhile; anything else is an error.
            if not is_taken(folder, name):
                raise
        else:
            return entry
    raise AssertionError("unreachable: numbers do not end")


def is_taken(folder: Folder, name: str) -> bool:
    """Tell whether a folder has an entry of that name, or one that differs by case only."""
    same = exists().where(
        Entry.parent_id == folder.id,
        Entry.name_key == names.fold(name),
        Entry.trash_id.is_(None),
    )
    return bool(db.session.scalar(select(same)))


def forget_all(owner_id: int) -> Sequence[str]:
    """Delete all that an account has from the database, and give the keys of the content.

    The caller commits, and removes the content then.
    """
    mine = StoredFile.owner_id == owner_id
    keys = db.session.scalars(select(StoredFile.storage_key).where(mine)).all()
    db.session.execute(delete(Entry).where(Entry.owner_id == owner_id))
    return keys


def charge(owner_id: int, size: int) -> None:
    """Count bytes against an account's quota, in the transaction that brings them.

    Two uploads at once cannot both have the last of it: the check is part of the update.

    :raises QuotaExceededError: if the account may not have that many bytes more.
    """
    allowed = func.coalesce(Account.quota, current_app.config["QUOTA"])
    charged = db.session.scalar(
        update(Account)
        .where(Account.id == owner_id, Account.used + size <= allowed)
        .values(used=Account.used + size)
        .returning(Account.used)
    )
    if charged is None:
        db.session.rollback()
        account = db.session.get_one(Account, owner_id)
        raise QuotaExceededError(quota_of(account), account.used)


def release(owner_id: int, size: int) -> None:
    """Give bytes back, in the transaction that removes them."""
    db.session.execute(
        update(Account).where(Account.id == owner_id).values(used=Account.used - size)
    )
