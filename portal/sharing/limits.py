"""Limits of links: downloads and uploads are counted against them.

Each count is one statement, so that concurrent requests never exceed a limit together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from flask import current_app
from sqlalchemy import Select, exists, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from portal.core.database import change, commit_change, db
from portal.core.models import Account, Entry, FileRequest, Share, ShareDownload, now


class LimitReachedError(Exception):
    """A file request does not allow it.

    :param files: how many files more it allows; None: as many as there are.
    :param size: how many bytes more; None likewise.
    """

    def __init__(self, request: FileRequest, files: int | None, size: int | None) -> None:
        super().__init__(request.public_id)
        self.request, self.files, self.size = request, files, size


def begin_download(share: Share, entry: Entry, visitor: str) -> bool:
    """Count a visitor's download, unless that was done recently; return whether it is allowed."""
    if may_download(share, entry, visitor):
        return True
    if not _count(share):
        db.session.rollback()
        # A double click: the other request has counted the download meanwhile.
        return may_download(share, entry, visitor)
    values = {"share_id": share.id, "entry_id": entry.id, "visitor": visitor, "counted_at": now()}
    row = insert(ShareDownload).values(values)
    counted = db.session.scalar(
        row.on_conflict_do_update(
            index_elements=["share_id", "entry_id", "visitor"],
            set_={"counted_at": row.excluded.counted_at},
            where=ShareDownload.counted_at < _oldest_grant(),
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
    found = _grants(share, visitor).where(ShareDownload.entry_id == entry.id)
    return bool(db.session.scalar(select(found.exists())))


def has_begun(share: Share, visitor: str) -> bool:
    """Return whether any download of a visitor was counted recently."""
    return bool(db.session.scalar(select(_grants(share, visitor).exists())))


def left(request: FileRequest) -> tuple[int | None, int | None]:
    """Return how many files and bytes more a file request allows; None: no limit."""
    files, size = request.file_limit, request.size_limit
    return (
        None if files is None else max(files - request.files, 0),
        None if size is None else max(size - request.size, 0),
    )


def check(request: FileRequest, files: int, size: int) -> None:
    """Check that a file request allows so many files and bytes more, and do not count them.

    :raises LimitReachedError: if it does not.
    """
    files_left, size_left = left(request)
    if files_left is not None and files > files_left:
        raise LimitReachedError(request, files_left, None)
    if size_left is not None and size > size_left:
        raise LimitReachedError(request, None, size_left)


def reserve(request: FileRequest, size: int) -> None:
    """Count a file against the limits of an open request, in the transaction that brings it.

    :raises LimitReachedError: if the limits do not allow it any more, or the link has ended.
    """
    open_request = (
        update(FileRequest)
        .where(FileRequest.id == request.id)
        # The link may have ended during the upload.
        .where(FileRequest.revoked_at.is_(None))
        .where(or_(FileRequest.expires_at.is_(None), FileRequest.expires_at > now()))
        .where(exists().where(Account.id == FileRequest.owner_id, Account.is_active))
        .where(or_(FileRequest.file_limit.is_(None), FileRequest.files < FileRequest.file_limit))
        .where(
            or_(FileRequest.size_limit.is_(None), FileRequest.size + size <= FileRequest.size_limit)
        )
    )
    if not change(open_request.values(files=FileRequest.files + 1, size=FileRequest.size + size)):
        db.session.rollback()
        db.session.refresh(request)
        check(request, 1, size)
        raise LimitReachedError(request, 0, None)


@contextmanager
def counted(request: FileRequest, size: int) -> Iterator[None]:
    """Count a file before it is stored, and not if that fails; raises as :func:`reserve`.

    No transaction is open meanwhile, as a file is written through to the disk.
    """
    request_id = request.id
    reserve(request, size)
    db.session.commit()
    try:
        yield
    except BaseException:
        db.session.rollback()
        _release(request_id, size)
        raise


def _release(request_id: int, size: int) -> None:
    reserved = update(FileRequest).where(FileRequest.id == request_id)
    commit_change(reserved.values(files=FileRequest.files - 1, size=FileRequest.size - size))


def _grants(share: Share, visitor: str) -> Select[ShareDownload]:
    return select(ShareDownload).where(
        ShareDownload.share_id == share.id,
        ShareDownload.visitor == visitor,
        ShareDownload.counted_at >= _oldest_grant(),
    )


def _oldest_grant() -> datetime:
    # The visitor's cookie lasts no longer.
    return now() - current_app.permanent_session_lifetime


def _count(share: Share) -> bool:
    below_limit = or_(Share.download_limit.is_(None), Share.downloads < Share.download_limit)
    counted = update(Share).where(Share.id == share.id, below_limit)
    return change(counted.values(downloads=Share.downloads + 1)) > 0
