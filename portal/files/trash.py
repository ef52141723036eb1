"""The trash: what is deleted can be restored for a while, and is counted against the quota."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import aliased

from portal.activity.record import NOTHING_MORE, Action, Note, Thing, commit_recorded
from portal.core import paging
from portal.core.clock import believed, correct, days_ago
from portal.core.database import change, db, take_time, total
from portal.core.models import Entry, Folder, StoredFile, now
from portal.storage.ballast import with_room_to_delete

from . import entries, quota, thumbnails, tree, unfinished
from .entries import GoneError
from .uploads import remove_content

logger = logging.getLogger(__name__)

_NEXT = "portal.trash.next"
_EVERY = 60 * 60
"""Seconds."""
_EXPIRED = Note(detail="expired in the trash", actor="", address="")
_AT_ONCE = 20
"""Entries of the trash that a request may delete permanently."""


class Held(NamedTuple):
    """What would be deleted permanently: how many files and versions of them, and their bytes."""

    files: int
    size: int
    versions: int
    versions_size: int


class Purged(NamedTuple):
    """What was deleted permanently: how many files, and their bytes."""

    files: int = 0
    bytes: int = 0


class Trashed(NamedTuple):
    """What was put into the trash, and the moment, by which :func:`trashed_at` finds it again."""

    things: Sequence[Thing]
    moment: datetime


@with_room_to_delete
def put(selected: Iterable[Entry]) -> Trashed | None:
    """Put entries of one account into the trash, with all that is in them.

    Their names are free at once. What was in the trash before stays there by itself: if all of them
    are, or are deleted, nothing is done, and none is returned.
    """
    selected = list(selected)
    if not selected:
        return None
    ids, moment = [entries.id_of(entry) for entry in selected], now()
    with entries.changing(selected[0].owner_id):
        take_time()
        live = Entry.id.in_(ids), Entry.trash_id.is_(None), Entry.parent_id.is_not(None)
        there = {entry.id: entry for entry in db.session.scalars(select(Entry).where(*live))}
        things = [Thing.of(there[entry_id]) for entry_id in ids if entry_id in there]
        for entry_id in there:
            _put(entry_id, moment)
        if things:
            commit_recorded("trash", *things)
    return Trashed(things, moment) if things else None


def page(
    owner_id: int, before: Entry | None = None, size: int = 100
) -> paging.Page[tuple[Entry, int]]:
    """Return what was put into the trash before an entry, the last first, and the bytes of each.

    Among them are those of versions.
    """
    inside, version = aliased(Entry), aliased(Entry)
    held = select(total(inside.size)).where(inside.trash_id == Entry.id).scalar_subquery()
    replaced = select(total(version.size)).join(inside, inside.id == version.version_of)
    replaced = replaced.where(inside.trash_id == Entry.id)
    tops = select(Entry, held + replaced.scalar_subquery()).where(*_tops(owner_id))
    place = (before.trashed_at, before.id) if before else None
    return paging.newest_first(tops, (Entry.trashed_at, Entry.id), place, size)


def held(owner_id: int, entry: Entry | None = None) -> Held:
    """Return what is in the trash of an account with an entry; none: with all that is there."""
    file, version = aliased(StoredFile), aliased(StoredFile)
    which = file.trash_id == entry.id if entry else file.trash_id.is_not(None)
    mine = file.owner_id == owner_id, file.version_of.is_(None), which
    files = select(func.count(), total(file.size)).where(*mine)
    replaced = select(func.count(), total(version.size)).join(file, file.id == version.version_of)
    found = [db.session.execute(one).one() for one in (files, replaced.where(*mine))]
    return Held(*(int(number) for row in found for number in row))


def trashed_at(owner_id: int, moment: datetime) -> Sequence[Entry]:
    """Return what an account put into the trash at a moment and is there still, outermost first."""
    mine = select(Entry).where(*_tops(owner_id), Entry.trashed_at == moment).order_by(Entry.id)
    found = db.session.scalars(mine).all()
    paths = tree.paths([entry.id for entry in found])
    return sorted(found, key=lambda entry: len(paths[entry.id]))


def all_trashed(owner_id: int) -> Sequence[Entry]:
    """Return all that an account put into the trash, without what was in it."""
    return db.session.scalars(select(Entry).where(*_tops(owner_id)).order_by(Entry.id)).all()


def restore(entry: Entry) -> Folder:
    """Restore an entry from the trash, with all that was put there with it; return its folder.

    It returns to where it was, or to the root folder if that is gone or in the trash itself; and
    under the next free name if its own was taken meanwhile.

    :raises GoneError: if it is not in the trash any more.
    """
    with entries.changing(entry.owner_id):
        take_time()
        entry = _in_trash(entries.id_of(entry))
        if entry.version_of is not None:
            raise GoneError
        folder = _home(entry)
        entry_id = entry.id
        entries.give_name(entry, folder.id, entry.name)
        entry.parent_id = folder.id
        db.session.flush()
        inside = update(Entry).where(Entry.trash_id == entry_id)
        change(inside.values(trash_id=None, trashed_at=None))
        commit_recorded("restore", entry)
    return folder


@with_room_to_delete
def purge(entry: Entry, note: Note = NOTHING_MORE) -> Purged:
    """Delete an entry in the trash permanently, with all that was put there with it; or a version.

    What lies in it, but was put into the trash on its own before, stays in the trash.

    :raises GoneError: if it is not in the trash any more.
    """
    entry_id, owner_id = entry.id, entry.owner_id
    with entries.changing(owner_id):
        take_time()
        entry = _keep_others(_in_trash(entry_id))
        thing, action = Thing.of(_named(entry)), _deletion(entry)
        keys, purged = forget(owner_id, Entry.trash_id == entry_id)
        commit_recorded(action, thing._replace(size=purged.bytes), note=note)
    # After the rows: without them, nobody reaches what a crash might leave on disk.
    remove_content(*keys)
    return purged


@with_room_to_delete
def empty(owner_id: int) -> Purged:
    """Delete permanently all that an account has in the trash; versions stay with their files."""
    with entries.changing(owner_id):
        take_time()
        things = [Thing.of(entry) for entry in all_trashed(owner_id)]
        trashed = sa.and_(Entry.trash_id.is_not(None), Entry.version_of.is_(None))
        keys, purged = forget(owner_id, trashed)
        if things:
            commit_recorded("delete", *things, note=Note(detail="with the trash"))
    remove_content(*keys)
    return purged


def purge_expired(most: int | None = None) -> Purged:
    """Delete permanently what expired in the trash, of all accounts, the oldest first.

    A version expires as what was put into the trash when it was replaced.
    """
    files = size = 0
    correct(Entry.trashed_at)
    for entry_id in _expired(most):
        try:
            purged = purge(_in_trash(entry_id), _EXPIRED)
        except GoneError:  # restored or deleted meanwhile
            continue
        files, size = files + purged.files, size + purged.bytes
    return Purged(files, size)


def purge_now_and_then() -> None:
    """Delete some of what has been in the trash too long, at most once an hour in each process.

    So the trash is emptied even where nobody runs the command for it. Requests call it.
    """
    if time.monotonic() < current_app.extensions.get(_NEXT, 0):
        return
    current_app.extensions[_NEXT] = time.monotonic() + _EVERY
    try:
        purged = purge_expired(most=_AT_ONCE)
    except SQLAlchemyError:
        logger.exception("what expired in the trash could not be deleted")
    else:
        if purged.files:
            logger.info("deleted from the trash: %d files, %d bytes", *purged)


def expiry(entry: Entry) -> datetime:
    """Return when an entry in the trash will be deleted permanently."""
    moment = believed(entry.trashed_at or now())
    return moment + timedelta(days=current_app.config["TRASH_DAYS"])


def _tops(owner_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions of :func:`all_trashed`."""
    return Entry.owner_id == owner_id, Entry.trash_id == Entry.id, Entry.version_of.is_(None)


def _put(entry_id: int, moment: datetime) -> None:
    live = Entry.trash_id.is_(None)
    top = select(Entry.id).where(Entry.id == entry_id, live, Entry.parent_id.is_not(None))
    inside = update(Entry).where(Entry.id.in_(select(tree.descendants(top, live).c.id)))
    change(inside.values(trash_id=entry_id, trashed_at=moment))


def _in_trash(entry_id: int) -> Entry:
    """Return an entry as it is now, if it was put into the trash by itself."""
    found = db.session.get(Entry, entry_id, populate_existing=True)
    if found is None or found.trash_id != found.id:
        raise GoneError
    return found


def _named(entry: Entry) -> Entry:
    """Return what the record names an entry by: a version by its file."""
    return db.session.get(Entry, entry.version_of) or entry if entry.version_of else entry


def _deletion(entry: Entry) -> Action:
    return "delete" if entry.version_of is None else "delete version"


def _home(entry: Entry) -> Folder:
    folder = db.session.get(Folder, entry.parent_id)
    if folder is None or folder.trash_id is not None:
        return entries.root_folder(entry.owner_id)
    # The folder may have been moved down meanwhile.
    levels = 0 if entry.is_file else tree.depth(folder.id) + tree.height(entry.id, entry.id)
    return folder if levels <= tree.DEEPEST else entries.root_folder(entry.owner_id)


def _keep_others(top: Entry) -> Entry:
    """Take what was put into the trash on its own out of a folder that goes now; return that."""
    going = select(Entry.id).where(Entry.trash_id == top.id)
    others = update(Entry).where(*_tops(top.owner_id), Entry.parent_id.in_(going))
    root = entries.root_folder(top.owner_id)
    change(others.where(Entry.trash_id != top.id).values(parent_id=root.id))
    return top


def forget(owner_id: int, which: sa.ColumnElement[bool]) -> tuple[Sequence[str], Purged]:
    """Delete rows, release what they took of the quota, and return the keys of their content.

    Versions go with their files. Among the keys are those of thumbnails, and of unfinished uploads
    into the folders.
    """
    going = select(Entry.id).where(Entry.owner_id == owner_id, which)
    mine = sa.or_(Entry.id.in_(going), Entry.version_of.in_(going))
    keys = db.session.scalars(
        select(StoredFile.storage_key).where(mine, StoredFile.is_file.is_(True))
    ).all()
    parts = unfinished.part_keys(select(Entry.id).where(mine))
    small = thumbnails.forget_of(mine)
    size = int(db.session.scalar(select(total(Entry.size)).where(mine)) or 0)
    change(delete(Entry).where(mine))
    quota.release(owner_id, size)
    return [*keys, *small, *parts], Purged(len(keys), size)


def _expired(most: int | None) -> Sequence[int]:
    oldest_first = (
        select(Entry.id)
        .where(Entry.trash_id.is_not(None), Entry.trash_id == Entry.id)
        .where(Entry.trashed_at < days_ago(current_app.config["TRASH_DAYS"]))
        .order_by(Entry.trashed_at, Entry.id)
        .limit(most)
    )
    return db.session.scalars(oldest_first).all()
