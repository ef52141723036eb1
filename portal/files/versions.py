"""Versions: what files held before it was replaced, kept for as long as what is in the trash.

When one expires, or is deleted before, :func:`portal.files.trash.purge` deletes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.orm import aliased

from portal.activity.record import Note, Thing, commit_recorded
from portal.activity.report import Line
from portal.core.database import change, db, take_time, total
from portal.core.models import Activity, StoredFile
from portal.core.paging import Page, newest_first
from portal.storage.ballast import with_room_to_delete

from . import entries, replacing, trash
from .entries import GoneError
from .trash import Purged
from .uploads import remove_content

PAGE = 100
"""Versions of a file that a page lists."""


class Kept(NamedTuple):
    """How many versions an account's files have, and their bytes."""

    number: int
    size: int


def of_file(file: StoredFile, before: int | None = None) -> Page[StoredFile]:
    """Return a page of a file's versions, the one that was replaced last first.

    :param before: the id of the version before which the page begins; of one that is not there any
        more, the page is the first.
    """
    mine = select(StoredFile).where(StoredFile.version_of == file.id)
    last = db.session.scalar(mine.where(StoredFile.id == before)) if before else None
    place = (last.trashed_at, last.id) if last else None
    page = newest_first(mine, (StoredFile.trashed_at, StoredFile.id), place, PAGE)
    return page.map(lambda row: row[0])


def count_around(file: StoredFile, page: Page[StoredFile]) -> tuple[int, int]:
    """Return how many versions of a file are newer than those of a page, and how many there are."""
    if not page.rows:
        return 0, 0
    key, first = tuple_(StoredFile.trashed_at, StoredFile.id), page.rows[0]
    newer = func.count().filter(key > tuple_(first.trashed_at, first.id))
    found = select(newer, func.count()).where(StoredFile.version_of == file.id)
    before, number = db.session.execute(found).one()
    return before, number


def find(file: StoredFile, public_id: str) -> StoredFile | None:
    """Find a version of a file by the name that it has in URLs."""
    mine = StoredFile.version_of == file.id, StoredFile.public_id == public_id
    return db.session.scalar(select(StoredFile).where(*mine))


def kept(owner_id: int) -> Kept:
    """Return what the versions of an account's files take: of those that are not in the trash."""
    version, file = aliased(StoredFile), aliased(StoredFile)
    found = select(func.count(), total(version.size)).join_from(
        version, file, file.id == version.version_of
    )
    mine = version.owner_id == owner_id, version.version_of.is_not(None)
    return Kept(*db.session.execute(found.where(*mine, file.trash_id.is_(None))).one())


def senders(file: StoredFile, contents: Sequence[StoredFile]) -> Sequence[Line | None]:
    """Return by whom each of a file's contents was uploaded, as far as the record still says it."""
    uploads = select(Activity).where(
        Activity.entry == file.public_id,
        Activity.action.in_(["upload", "replace"]),
        Activity.at >= min(held.created_at for held in contents),
    )
    lines = db.session.scalars(uploads.order_by(Activity.id)).all()
    # A line is written right after the moment that its content has.
    found = (next((one for one in lines if one.at >= held.created_at), None) for held in contents)
    return [Line(one, None, has_names=True) if one else None for one in found]


@with_room_to_delete
def restore(version: StoredFile) -> StoredFile:
    """Give a file what it held before, keep the present content as a version, and return the file.

    :raises GoneError: if the version is not there any more, or its file is not, or in the trash.
    """
    version_id = entries.id_of(version)
    with entries.changing(version.owner_id):
        there = db.session.get(StoredFile, version_id, populate_existing=True)
        file = there and db.session.get(StoredFile, there.version_of)
        if there is None or file is None:
            raise GoneError
        file, content = entries.current(file), replacing.Content.of(there)
        change(delete(StoredFile).where(StoredFile.id == version_id))
        db.session.expunge(there)
        replacing.put_content(file, content)
        commit_recorded("restore version", file)
    return file


@with_room_to_delete
def delete_all(owner_id: int) -> Purged:
    """Delete permanently all versions of an account's files that are not in the trash."""
    file = aliased(StoredFile)
    live = select(file.id).where(file.owner_id == owner_id, file.trash_id.is_(None))
    with entries.changing(owner_id):
        take_time()
        which = StoredFile.version_of.in_(live)
        replaced = select(StoredFile.version_of).where(which)
        files = select(StoredFile).where(StoredFile.id.in_(replaced)).order_by(StoredFile.id)
        things = [Thing.of(one) for one in db.session.scalars(files)]
        keys, purged = trash.forget(owner_id, which)
        if things:
            commit_recorded("delete version", *things, note=Note(detail="with all versions"))
    remove_content(*keys)
    return purged
