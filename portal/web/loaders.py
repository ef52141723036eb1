"""Entries by the names that they have in URLs, for whoever may do with them what is asked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import TypeVar, cast

from flask import abort, request
from sqlalchemy import Select, bindparam, select

from portal.core.database import db
from portal.core.models import Entry, FileRequest, Share
from portal.files.policy import Action, may
from portal.identity.current_user import current_account

logger = logging.getLogger(__name__)

E = TypeVar("E", bound=Entry)
L = TypeVar("L", bound=Share | FileRequest)


@cache
def _by_public_id(kind: type[Entry]) -> Select[Entry]:
    """Make the statement once: every download asks this."""
    return select(kind).where(kind.public_id == bindparam("public_id"))


def find_entry(kind: type[E], public_id: str, action: Action) -> E | None:
    """Find a file or folder, for whoever may do that with it."""
    entry = cast("E | None", db.session.scalar(_by_public_id(kind), {"public_id": public_id}))
    if entry and may(current_account(), action, entry):
        return entry
    _log_refusal(public_id, action, entry)
    return None


def entry_or_404(kind: type[E], public_id: str, action: Action) -> E:
    """Give a file or folder to whoever may have it; to others it looks as if it were not there."""
    return find_entry(kind, public_id, action) or abort(404)


def mine_or_404(kind: type[L], public_id: str) -> L:
    """Give a link to whoever made it; to others it looks as if it were not there."""
    mine = select(kind).where(kind.public_id == public_id, kind.owner_id == current_account().id)
    return db.session.scalar(mine) or abort(404)


def chosen_or_404(action: Action) -> Sequence[Entry]:
    """Give the entries that this request chose: all of them, or as if they were not there."""
    wanted = list(dict.fromkeys(request.values.getlist("entry")))
    found = db.session.scalars(
        select(Entry).where(Entry.public_id.in_(wanted)).order_by(Entry.is_file, Entry.name_key)
    ).all()
    known = {entry.public_id: entry for entry in found}
    for public_id in wanted:
        entry = known.get(public_id)
        if entry is None or not may(current_account(), action, entry):
            _log_refusal(public_id, action, entry)
            abort(404)
    return found


def _log_refusal(public_id: str, action: Action, entry: Entry | None) -> None:
    me = current_account()
    if entry is None:
        reason = "no such entry"
    else:
        reason = "not theirs" if entry.owner_id != me.id else "not possible now"
    # %r keeps control characters from making lines of their own in the log, .100 keeps it short.
    logger.warning("refused: %s %.100r to %.100r, %s", action, public_id, me.name, reason)
