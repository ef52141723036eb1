"""Entries by the names that they have in URLs, for whoever may do with them what is asked."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from functools import cache
from typing import NoReturn, TypeVar, cast

from flask import abort, request
from sqlalchemy import Select, bindparam, select

from portal.core.database import db
from portal.core.models import Entry, FileRequest, Folder, Share
from portal.files import tree
from portal.files.entries import GoneError
from portal.files.policy import Action, may
from portal.identity.current_user import current_account

logger = logging.getLogger(__name__)

E = TypeVar("E", bound=Entry)
L = TypeVar("L", bound=Share | FileRequest)


@cache
def _by_public_id(kind: type[Entry]) -> Select[Entry]:
    """Build the statement once: every download needs it."""
    return select(kind).where(kind.public_id == bindparam("public_id"))


def find_entry(kind: type[E], public_id: str, action: Action) -> E | None:
    """Find a file or folder, for whoever may do that with it."""
    entry = cast("E | None", db.session.scalar(_by_public_id(kind), {"public_id": public_id}))
    return entry if _may(action, public_id, entry) else None


def entry_or_404(kind: type[E], public_id: str, action: Action) -> E:
    """Find a file or folder, for whoever may do that with it; to others it seems not to exist."""
    return find_entry(kind, public_id, action) or _refuse(public_id)


def entry_and_path_or_404(
    kind: type[E], public_id: str, action: Action
) -> tuple[E, Sequence[tree.Step]]:
    """Find an entry as :func:`entry_or_404` does, and the path to it, by one statement."""
    entry, path = tree.find_with_path(public_id)
    found = entry if isinstance(entry, kind) else None
    return (found, path) if _may(action, public_id, found) and found else _refuse(public_id)


def entry_of(owner_id: int, public_id: str) -> Entry | None:
    """Find an account's entry for a page to begin after, wherever it is by now."""
    mine = select(Entry).where(Entry.public_id == public_id, Entry.owner_id == owner_id)
    return db.session.scalar(mine) if public_id else None


def mine_of_any_kind_or_404(public_id: str) -> Share | FileRequest:
    """Find a link as :func:`mine_or_404` does, of either kind."""
    return _find_mine(Share, public_id) or mine_or_404(FileRequest, public_id)


def mine_or_404(kind: type[L], public_id: str) -> L:
    """Find a link, for whoever created it; to others it seems not to exist."""
    return _find_mine(kind, public_id) or missing()


def _find_mine(kind: type[L], public_id: str) -> L | None:
    mine = select(kind).where(kind.public_id == public_id, kind.owner_id == current_account().id)
    return db.session.scalar(mine)


def selected_or_404(action: Action, public_ids: Collection[str]) -> Sequence[Entry]:
    """Find entries: all of them, or none exists as it seems."""
    found = db.session.scalars(
        select(Entry).where(Entry.public_id.in_(public_ids)).order_by(Entry.is_file, Entry.sort_key)
    ).all()
    known = {entry.public_id: entry for entry in found}
    for public_id in public_ids:
        if not _may(action, public_id, known.get(public_id)):
            _refuse(public_id)
    return found


def _refuse(public_id: str) -> NoReturn:
    """Say that an entry does not exist; to its owner, or whoever has sent a form, any more.

    A form is of a page that showed the entry, or invented: what it names is not told to others.
    """
    entry = db.session.scalar(_by_public_id(Entry), {"public_id": public_id})
    if entry and entry.owner_id == current_account().id and entry.trash_id is not None:
        folder = db.session.get(Folder, entry.parent_id)
        is_there = folder is not None and folder.trash_id is None
        raise GoneError(entry.name, folder.public_id if folder and is_there else None)
    missing()


def missing() -> NoReturn:
    """Say that something does not exist; where a form was about it, any more."""
    if request.method == "POST":
        raise GoneError
    abort(404)


def _may(action: Action, public_id: str, entry: Entry | None) -> bool:
    """Return whether an entry is there, and I may do that with it; log it if not."""
    me, reason = current_account(), "no such entry"
    if entry and may(me, action, entry):
        return True
    if entry:
        reason = "not theirs" if entry.owner_id != me.id else "not possible now"
    # %r keeps control characters from making lines of their own in the log, .100 keeps it short.
    logger.warning("refused: %s %.100r to %.100r, %s", action, public_id, me.name, reason)
    return False
