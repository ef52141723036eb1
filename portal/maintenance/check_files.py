"""Comparing the files on disk with the database, and repairing what differs.

A repair loses nothing: content that no row names is moved aside, and rows without content stay.
Uploads and deletions may continue meanwhile, so what looks wrong is checked a second time.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Row, exists, select

from portal.core.database import db, total
from portal.core.models import Account, Entry, StoredFile, Thumbnail
from portal.core.references import name_or_reference
from portal.files import thumbnails
from portal.storage import permissions
from portal.storage.base import Content, Storage
from portal.storage.disk import Disk

from .archives import Advance

YOUNG = 60 * 60
"""Seconds for which content may have no row: its upload may still be in progress."""
_AT_ONCE = 500
_PIECE = 1024**2


@dataclass
class Problem:
    """Something that is wrong.

    :param kind: one word, as documented.
    :param what: the file, folder or account.
    :param mend: repairs it, and returns how; None if it could not.
    """

    kind: str
    what: str
    detail: str
    mend: Callable[[], str | None] | None = field(default=None, repr=False)
    repaired: str | None = None

    def repair(self) -> None:
        """Repair it, if that is possible without losing anything."""
        self.repaired = self.mend() if self.mend else None

    def as_row(self) -> dict[str, str | None]:
        """Return what JSON has of it."""
        return {name: getattr(self, name) for name in ("kind", "what", "detail", "repaired")}

    def __str__(self) -> str:
        done = f"; {self.repaired}" if self.repaired else ""
        return f"{self.kind}: {self.what}: {self.detail}{done}"


def total_size() -> int:
    """Return the bytes of all files."""
    return db.session.scalar(select(total(Entry.size))) or 0


def check_files(storage: Storage, *, content: bool, advance: Advance) -> Iterator[Problem]:
    """Check each file that the database names, and advance by its size; read it if asked to."""
    for row in _rows():
        problem = _check_file(storage, row, content)
        advance(row.size)
        # The file may have been deleted since its row was read.
        if problem and db.session.scalar(select(exists().where(StoredFile.id == row.id))):
            yield problem
        db.session.rollback()  # a long transaction would keep the journal from being cleared


def check_unclaimed(storage: Storage, unlisted: set[str] | None = None) -> Iterator[Problem]:
    """Find content that no row names. A repair moves it aside.

    :param unlisted: takes the folders that may not be listed; without it, they raise.
    """
    keys = storage.all_keys(unlisted)
    while batch := list(islice(keys, _AT_ONCE)):
        known = select(StoredFile.storage_key).where(StoredFile.storage_key.in_(batch))
        small = select(Thumbnail.own_key).where(Thumbnail.own_key.in_(batch))
        unknown = sorted({*batch} - {*db.session.scalars(known)} - {*db.session.scalars(small)})
        db.session.rollback()
        for key in unknown:
            try:
                found = storage.find(key)
            except PermissionError as error:
                yield Problem("unclaimed", key, f"cannot be read: {error.strerror}")
                continue
            if found is None or time.time() - found.changed_at < YOUNG:
                continue
            detail = f"{found.size} bytes that no file claims"
            yield Problem("unclaimed", key, detail, partial(storage.set_aside, key))


def check_thumbnails(storage: Storage) -> Iterator[Problem]:
    """Check that each thumbnail is there. A repair forgets one, so that another one is made."""
    rows = select(Thumbnail.id, Thumbnail.own_key, Thumbnail.size).where(
        Thumbnail.own_key.is_not(None)
    )
    rows, last = rows.order_by(Thumbnail.id).limit(_AT_ONCE), 0
    while batch := db.session.execute(rows.where(Thumbnail.id > last)).all():
        db.session.rollback()
        last = batch[-1].id
        for row in batch:
            found = storage.find(row.own_key)
            # It may have been deleted since its row was read.
            if (found is None or found.size != row.size) and db.session.get(Thumbnail, row.id):
                detail = f"{found.size if found else 'none'} of {row.size} bytes are there"
                yield Problem(
                    "thumbnail", row.own_key, detail, partial(_forget_thumbnail, row.own_key)
                )
            db.session.rollback()


def _forget_thumbnail(key: str) -> str:
    thumbnails.forget_lost(key)
    return "another one is made when it is wanted"


def check_rights(storage: Storage) -> Iterator[Problem]:
    """Check that nobody else may change files on disk, and that the web server may read them."""
    if not isinstance(storage, Disk):
        return
    for path, mode in permissions.paths(storage):
        try:
            wrong = permissions.wrong_rights(storage, path, mode)
        except FileNotFoundError:  # deleted meanwhile
            continue
        if wrong:
            mend = partial(permissions.set_rights, storage, path, mode)
            yield Problem("rights", str(path), wrong, mend)


def _rows() -> Iterator[Row[Any]]:
    """Yield all files, in several short transactions."""
    rows = (
        select(StoredFile.id, StoredFile.storage_key, StoredFile.size, StoredFile.sha256)
        .add_columns(StoredFile.name, StoredFile.public_id, Account.name.label("owner"))
        .join(Account, Account.id == StoredFile.owner_id)
        .where(StoredFile.is_file)
        .order_by(StoredFile.id)
        .limit(_AT_ONCE)
    )
    last = 0
    while batch := db.session.execute(rows.where(StoredFile.id > last)).all():
        yield from batch
        last = batch[-1].id


def _check_file(storage: Storage, row: Row[Any], content: bool) -> Problem | None:
    key, named = row.storage_key, name_or_reference(row.public_id, row.name)
    title = f"{named!r} of {row.owner!r} ({key})"
    found = storage.find(key)
    if found is None:
        mend = partial(_claim, storage, key, row.sha256)
        return Problem("missing", title, "has no content", mend)
    if found.size != row.size:
        return Problem("size", title, f"{found.size} bytes instead of {row.size}")
    if content:
        try:
            with storage.open(key) as file:
                if hash_of(file) != row.sha256:
                    return Problem("content", title, "is not what was uploaded")
        except OSError as error:
            return Problem("content", title, f"cannot be read: {error.strerror}")
    return None


def _claim(storage: Storage, key: str, sha256: str) -> str | None:
    """Move content back that was set aside, if it is what was uploaded."""
    try:
        with storage.open_aside(key) as file:
            found = hash_of(file)
    except OSError:
        return None
    return storage.claim(key) if found == sha256 else None


def hash_of(file: Content) -> str:
    """Return the SHA-256 of what is left to read, in hexadecimal."""
    hashed = hashlib.sha256()
    while piece := file.read(_PIECE):
        hashed.update(piece)
    return hashed.hexdigest()
