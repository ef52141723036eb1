"""Files that are put into a folder where their name is taken: beside the other, or in its place.

What a file held before stays as a version of it: a row of its own, in the trash by itself from then
on. The file stays the same, with its name, its links and its address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select

from portal.activity.record import NOTHING_MORE, Action, Note, commit_recorded
from portal.core import text
from portal.core.database import db
from portal.core.models import Folder, StoredFile, now

from . import entries, names, quota

Path = Sequence[str]
"""Names of folders, and last that of a file, as a client gave them."""


class Placed(NamedTuple):
    """A file in its folder, and whether it was there before with other content."""

    file: StoredFile
    has_replaced: bool

    @property
    def action(self) -> Action:
        """What the record calls it."""
        return "replace" if self.has_replaced else "upload"


class Content(NamedTuple):
    """What a file holds, and when that was uploaded."""

    size: int
    sha256: str
    storage_key: str
    created_at: datetime

    @classmethod
    def of(cls, file: StoredFile) -> Content:
        """Return the content of a file."""
        return cls(file.size, file.sha256, file.storage_key, file.created_at)


def place(
    file: StoredFile,
    folder: Folder,
    note: Note = NOTHING_MORE,
    *,
    replaces: bool,
    also: Callable[[StoredFile], None] | None = None,
) -> Placed:
    """Put a new file into a folder, and raise what :func:`entries.place` raises.

    :param replaces: whether its content goes into the file that has its name, if there is one; else
        it gets the next name that is free, as it does where a folder has the name.
    :param also: what else to write in the transaction, of the file that is in its place.
    """
    with entries.changing(folder.owner_id):
        size = file.size
        placed = add(file, entries.current(folder), replaces=replaces)
        if size:
            quota.charge(folder.owner_id, size)
        if also:
            db.session.flush()
            also(placed.file)
        commit_recorded(placed.action, placed.file, note=note)
    return placed


def add(file: StoredFile, folder: Folder, *, replaces: bool) -> Placed:
    """Do as :func:`place` does, in :func:`entries.changing`, with a folder that is current.

    The caller charges its size.
    """
    if replaces and (there := _file_of_name(folder, file.name)):
        put_content(there, Content(file.size, file.sha256, file.storage_key, now()))
        return Placed(there, has_replaced=True)
    entries.add(file, folder)
    return Placed(file, has_replaced=False)


def put_content(file: StoredFile, content: Content) -> None:
    """Give a file other content, and keep the present one as a version; in ``changing``."""
    before = Content.of(file)
    file.size, file.sha256, file.storage_key, file.created_at = content
    db.session.flush()  # so that the version can have the key
    version = StoredFile(
        name=file.name,
        mimetype=file.mimetype,
        owner_id=file.owner_id,
        # Which stays for as long as the account does, wherever the file goes.
        parent_id=entries.root_folder(file.owner_id).id,
        version_of=file.id,
        trashed_at=now(),
        # Until it has an id of its own.
        trash_id=file.id,
        **before._asdict(),
    )
    db.session.add(version)
    db.session.flush()
    version.trash_id = version.id
    db.session.flush()


def taken(folder: Folder, paths: Sequence[Path]) -> Sequence[bool]:
    """Return for each path below a folder whether a file is there, which could be replaced."""
    wanted: dict[tuple[str, ...], set[str]] = {}
    for *around, name in paths:
        wanted.setdefault(tuple(around), set()).add(_key(name))
    there = _keys_at(folder, wanted)
    return [_key(name) in there[tuple(around)] for *around, name in paths]


def _keys_at(
    folder: Folder, wanted: Mapping[tuple[str, ...], set[str]]
) -> Mapping[tuple[str, ...], set[str]]:
    found = {}
    for path, keys in wanted.items():
        inner = entries.folder_at(folder, path)
        here = StoredFile.parent_id == (inner and inner.id), StoredFile.trash_id.is_(None)
        of_name = select(StoredFile.name_key).where(*here, StoredFile.name_key.in_(keys))
        is_file = StoredFile.is_file.is_(True)
        found[path] = set(db.session.scalars(of_name.where(is_file))) if inner else set()
    return found


def _file_of_name(folder: Folder, name: str) -> StoredFile | None:
    here = StoredFile.parent_id == folder.id, StoredFile.trash_id.is_(None)
    of_name = select(StoredFile).where(*here, StoredFile.name_key == text.fold(name))
    return db.session.scalar(of_name.where(StoredFile.is_file.is_(True)))


def _key(name: str) -> str:
    return text.fold(names.clean(name))
