"""Whether the files on disk are those in the database; and how that is put right.

Nothing is lost by it: content that no row claims is moved aside, and rows without content stay.
Uploads and deletions may go on meanwhile, so what looks wrong is looked at again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import exists, func, select

from portal.core.database import db
from portal.core.models import Account, Entry, StoredFile
from portal.storage import permissions
from portal.storage.disk import Storage

YOUNG = 60 * 60
"""Seconds for which content may be without a row: its upload may not be done."""
_AT_ONCE = 500

Advance = Callable[[int], None]


@dataclass
class Problem:
    """Something that is wrong.

    :param kind: a word for it.
    :param what: what it is wrong with.
    :param detail: what exactly, for people.
    :param repaired: what was done about it; none if nothing was.
    """

    kind: str
    what: str
    detail: str
    repaired: str | None = None

    def __str__(self) -> str:
        done = f"; {self.repaired}" if self.repaired else ""
        return f"{self.kind}: {self.what}: {self.detail}{done}"


class Row(NamedTuple):
    """A file as the database has it."""

    id: int
    key: str
    size: int
    sha256: str
    name: str
    owner: str

    @property
    def title(self) -> str:
        """What to call it: by its key, it is found on disk."""
        return f"{self.name!r} of {self.owner!r} ({self.key})"


def total_size() -> int:
    """Tell how many bytes all files have."""
    return db.session.scalar(select(func.coalesce(func.sum(Entry.size), 0))) or 0


def check_files(
    storage: Storage, *, content: bool, repair: bool, advance: Advance
) -> Iterator[Problem]:
    """Look at each file that the database names.

    :param content: read them all, too.
    :param advance: called with the bytes of what was looked at.
    """
    for row in _rows():
        problem = _check_file(storage, row, content, repair)
        advance(row.size)
        # It may have been deleted after its row was read.
        if problem and db.session.scalar(select(exists().where(StoredFile.id == row.id))):
            yield problem
        db.session.rollback()  # a long look must not keep the journal from being cleared


def check_unclaimed(storage: Storage, *, repair: bool) -> Iterator[Problem]:
    """Look for content that no row names, and move it out of the way."""
    keys = storage.all_keys()
    while batch := list(islice(keys, _AT_ONCE)):
        known = select(StoredFile.storage_key).where(StoredFile.storage_key.in_(batch))
        unknown = sorted(set(batch) - set(db.session.scalars(known)))
        db.session.rollback()
        for key in unknown:
            found = storage.find(key)
            # The time of the last change is that of its last rename or change of rights; the
            # first byte of an upload may have come long before.
            if found is None or time.time() - found.st_ctime < YOUNG:
                continue
            problem = Problem("unclaimed", key, f"{found.st_size} bytes that no file claims")
            if repair:
                permissions.set_aside(storage, key)
                problem.repaired = f"moved to {storage.unclaimed}"
            yield problem


def check_rights(storage: Storage, *, repair: bool) -> Iterator[Problem]:
    """Look whether nobody else may change files, and whether the web server may read them."""
    for path, mode in permissions.paths(storage):
        try:
            wrong = permissions.wrong_rights(storage, path, mode)
        except FileNotFoundError:  # deleted meanwhile
            continue
        if wrong is None:
            continue
        problem = Problem("rights", str(path), wrong)
        if repair:
            with suppress(PermissionError):
                permissions.set_rights(storage, path, mode)
                problem.repaired = f"has the mode {mode:04o} now"
        yield problem


def _rows() -> Iterator[Row]:
    """Give all files, in several short transactions."""
    columns = (StoredFile.id, StoredFile.storage_key, StoredFile.size, StoredFile.sha256)
    rows = (
        select(*columns, StoredFile.name, Account.name)
        .join(Account, Account.id == StoredFile.owner_id)
        .order_by(StoredFile.id)
        .limit(_AT_ONCE)
    )
    last = 0
    while batch := db.session.execute(rows.where(StoredFile.is_file, StoredFile.id > last)).all():
        yield from (Row(*row) for row in batch)
        last = batch[-1][0]


def _check_file(storage: Storage, row: Row, content: bool, repair: bool) -> Problem | None:
    found = storage.find(row.key)
    if found is None:
        problem = Problem("missing", row.title, "its content is not there")
        if repair and _hash_at(storage.unclaimed / row.key) == row.sha256:
            permissions.claim(storage, row.key)
            problem.repaired = f"moved back from {storage.unclaimed}"
        return problem
    if found.st_size != row.size:
        return Problem("size", row.title, f"{found.st_size} bytes instead of {row.size}")
    if content:
        try:
            with storage.open(row.key) as file:
                if _hash(file) != row.sha256:
                    return Problem("content", row.title, "is not what was uploaded")
        except OSError as error:
            return Problem("content", row.title, f"cannot be read: {error.strerror}")
    return None


def _hash_at(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return _hash(file)
    except OSError:
        return None


def _hash(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()
