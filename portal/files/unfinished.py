"""Uploads that have begun, and have neither ended nor expired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, case, func, select
from sqlalchemy.orm import aliased, joinedload

from portal.core.clock import believed, days_ago
from portal.core.database import db, total
from portal.core.models import Account, FileRequest, Folder, Upload, now


def lifetime() -> timedelta:
    """Return how long an upload waits for its next piece."""
    return timedelta(days=current_app.config["UPLOAD_DAYS"])


def expiry(upload: Upload) -> datetime:
    """Return when an upload expires, if nobody resumes it."""
    return believed(upload.used_at) + lifetime()


def has_expired(upload: Upload) -> bool:
    """Return whether an upload expired, by a clock that may be ahead for a while."""
    days = current_app.config["UPLOAD_DAYS"]
    return expiry(upload) < now() and upload.used_at < days_ago(days)


def of_owner(account: Account, folder: Folder | None = None) -> Sequence[Upload]:
    """Return an account's unfinished uploads, or those into one folder, the latest first."""
    conditions = [Upload.owner_id == account.id, *_unfinished()]
    if folder is not None:
        conditions.append(Upload.folder_id == folder.id)
    found = select(Upload).where(*conditions).options(joinedload(Upload.request))
    return db.session.scalars(found.order_by(Upload.used_at.desc(), Upload.id.desc())).all()


def of_visitor(request: FileRequest, visitor: str) -> Sequence[Upload]:
    """Return a visitor's unfinished uploads by a link, the latest first."""
    conditions = [Upload.request_id == request.id, Upload.visitor == visitor, *_unfinished()]
    found = select(Upload).where(*conditions)
    return db.session.scalars(found.order_by(Upload.used_at.desc(), Upload.id.desc())).all()


def has_finished(request: FileRequest, visitor: str) -> bool:
    """Return whether a visitor has finished an upload by a link, lately."""
    mine = [Upload.request_id == request.id, Upload.visitor == visitor]
    finished = select(Upload.id).where(*mine, Upload.finished_at.is_not(None))
    return bool(db.session.scalar(select(finished.exists())))


def count_of_owner(owner_id: int) -> tuple[int, int]:
    """Return how many unfinished uploads an account has, and the bytes that they need.

    A member's upload needs its whole length from its beginning. Of a visitor's only what has
    arrived counts: a link would otherwise take its owner's space without sending a byte.
    """
    wanted = {"owner_id": owner_id, "oldest": now() - lifetime()}
    count, size = db.session.execute(_COUNTED, wanted).one()
    return count, size


def count_by_owner() -> Mapping[int, tuple[int, int]]:
    """Return what :func:`count_of_owner` does, by the id of each account that has any."""
    counted = select(Upload.owner_id, func.count(), total(_needed(Upload)))
    rows = db.session.execute(counted.where(*_unfinished()).group_by(Upload.owner_id))
    return {owner_id: (count, size) for owner_id, count, size in rows}


def needed_by_others() -> ColumnElement[int]:
    """Return the bytes that the unfinished uploads of an upload's owner need, besides itself."""
    other = aliased(Upload)
    theirs = [other.owner_id == Upload.owner_id, other.id != Upload.id, *_unfinished(other)]
    counted = select(total(_needed(other))).where(*theirs)
    return counted.correlate(Upload).scalar_subquery()


def _needed(upload: type[Upload]) -> ColumnElement[int]:
    return case((upload.request_id.is_(None), upload.size), else_=upload.arrived)


def part_keys(folders: Select[int]) -> Sequence[str]:
    """Return the keys of what has arrived of uploads into folders, which go with these."""
    return db.session.scalars(select(Upload.part_key).where(Upload.folder_id.in_(folders))).all()


def count_begun(owner_id: int) -> int:
    """Return how many unfinished uploads an account has begun itself."""
    mine = and_(Upload.owner_id == owner_id, Upload.request_id.is_(None))
    return db.session.scalar(select(func.count()).where(mine, *_unfinished())) or 0


def _unfinished(
    upload: type[Upload] = Upload, oldest: BindParameter[datetime] | None = None
) -> Sequence[ColumnElement[bool]]:
    since = now() - lifetime() if oldest is None else oldest
    return upload.finished_at.is_(None), upload.used_at >= since


# Built once: each page runs it.
_COUNTED = select(func.count(), total(_needed(Upload))).where(
    Upload.owner_id == bindparam("owner_id"), *_unfinished(oldest=bindparam("oldest"))
)
