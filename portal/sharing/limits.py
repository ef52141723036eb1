"""Limits of links to download: downloads are counted against them.

Each count is one statement, so that concurrent requests never exceed a limit together.
"""

from __future__ import annotations

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import Select, or_, select, update

from portal.core.clock import within
from portal.core.database import change, db, lock, upsert
from portal.core.models import Entry, Share, ShareDownload, now


def begin_download(share: Share, entry: Entry, visitor: str) -> bool:
    """Count a visitor's download, unless that was done recently; return whether it is allowed."""
    if may_download(share, entry, visitor):
        return True
    # First, as whoever deletes the file has it locked when the share goes.
    lock(Entry, Entry.id == entry.id, key_only=True)
    if not _count(share):
        db.session.rollback()
        # A double click: the other request has counted the download meanwhile.
        return may_download(share, entry, visitor)
    values = {"share_id": share.id, "entry_id": entry.id, "visitor": visitor, "counted_at": now()}
    row = upsert(ShareDownload).values(values)
    counted = db.session.scalar(
        row.on_conflict_do_update(
            index_elements=["share_id", "entry_id", "visitor"],
            set_={"counted_at": row.excluded.counted_at},
            where=sa.not_(_is_recent()),
        ).returning(ShareDownload.id)
    )
    if counted is None:
        db.session.rollback()
    else:
        db.session.commit()
    return True


def count_download(share: Share) -> bool:
    """Count a download that cannot be resumed, and return whether the limit allows it."""
    counted = _count(share)
    db.session.commit()
    return counted


def may_download(share: Share, entry: Entry, visitor: str) -> bool:
    """Return whether a visitor's download of a file was counted recently."""
    found = _grants(share).where(ShareDownload.entry_id == entry.id)
    return bool(db.session.scalar(select(found.exists()), to(visitor)))


def has_begun(share: Share, visitor: str) -> bool:
    """Return whether any download of a visitor was counted recently."""
    return bool(db.session.scalar(select(_grants(share).exists()), to(visitor)))


def is_granted() -> sa.ColumnElement[bool]:
    """Return the condition by which a statement finds downloads that were counted recently.

    Its parameters are those that :func:`to` returns.
    """
    recent = ShareDownload.counted_at.between(sa.bindparam("oldest"), sa.bindparam("latest"))
    return sa.and_(ShareDownload.visitor == sa.bindparam("visitor"), recent)


def to(visitor: str) -> dict[str, object]:
    """Return the parameters by which :func:`is_granted` finds a visitor's downloads."""
    # The visitor's cookie lasts no longer.
    oldest, latest = within(current_app.permanent_session_lifetime)
    return {"visitor": visitor, "oldest": oldest, "latest": latest}


def _grants(share: Share) -> Select[ShareDownload]:
    return select(ShareDownload).where(ShareDownload.share_id == share.id, is_granted())


def _is_recent() -> sa.ColumnElement[bool]:
    # The visitor's cookie lasts no longer.
    return ShareDownload.counted_at.between(*within(current_app.permanent_session_lifetime))


def _count(share: Share) -> bool:
    below_limit = or_(Share.download_limit.is_(None), Share.downloads < Share.download_limit)
    counted = update(Share).where(Share.id == share.id, below_limit)
    return change(counted.values(downloads=Share.downloads + 1)) > 0
