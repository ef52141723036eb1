"""Limits of links to upload: what a link has stored counts, and what anybody sends through it.

An unfinished upload holds its whole length from its beginning. One that has had no piece for an
hour is stalled: it does not count any more, and is given up when its room is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import ColumnElement, delete, exists, func, or_, select, update

from portal.core.clock import within
from portal.core.database import change, commit_change, db, is_in_doubt, lock, total
from portal.core.models import Account, FileRequest, Upload, now
from portal.storage.parts import PartLockedError, current_parts

STALLED_AFTER = timedelta(hours=1)
"""The time without a piece after which others may have the room of an upload."""
MOST_UNFINISHED = 1000
"""Uploads that one account, or visitors by one of its links, may have begun and not finished."""

_UNFINISHED = (
    Upload.request_id == FileRequest.id,
    Upload.finished_at.is_(None),
    # What is larger than all that is left cannot end: the owner has lowered the limit.
    or_(FileRequest.size_limit.is_(None), Upload.size <= FileRequest.size_limit - FileRequest.size),
)
_HELD_FILES, _HELD_BYTES = (
    select(held).where(*_UNFINISHED).correlate(FileRequest).scalar_subquery()
    for held in (func.count(), total(Upload.size))
)
"""What all unfinished uploads by a link hold."""


class TooManyError(Exception):
    """An account, or visitors by a link, have begun too many uploads."""


class LimitReachedError(Exception):
    """A link to upload does not accept it.

    :param files: how many more files it accepted; None: as many as there are.
    :param size: how many more bytes; None likewise.
    """

    def __init__(self, request: FileRequest, files: int | None, size: int | None) -> None:
        super().__init__(request.public_id)
        self.request, self.files, self.size = request, files, size


def of(request: FileRequest) -> tuple[int | None, int | None]:
    """Return how many more files and bytes a link accepts now; None: no limit."""
    count, size = _held(request, sa.not_(_is_stalled()))
    return _left(request, count, size)


def is_held(request: FileRequest) -> bool:
    """Return whether unfinished uploads hold some of a link's room."""
    return _held(request)[0] > 0


def check(request: FileRequest, files: int, size: int) -> None:
    """Check that a link accepts so many more files and bytes now, and do not count them.

    :raises LimitReachedError: if it does not.
    """
    _check(request, files, size, *of(request))


def check_begun(request: FileRequest, size: int) -> None:
    """Check that a link still accepts an upload, which holds its room since it has begun.

    :raises LimitReachedError: if it does not: its owner has lowered the limit.
    """
    _check(request, 1, size, *_left(request, 0, 0))


def clear(request: FileRequest, size: int, *, begins: bool = True) -> None:
    """Check that a link accepts one more file, and give up stalled uploads if need be.

    :param begins: whether the file becomes one of the unfinished uploads, whose number is limited.
    :raises LimitReachedError: if the link does not accept it.
    :raises TooManyError: if too many others are being sent.
    """
    request_id = request.id
    if begins and _held(request, sa.not_(_is_stalled()))[0] >= MOST_UNFINISHED:
        raise TooManyError
    check(request, 1, size)
    mine = select(Upload.id, Upload.part_key).where(Upload.request_id == request_id, _is_stalled())
    for upload_id, key in db.session.execute(mine.order_by(Upload.used_at, Upload.id)).all():
        with suppress(LimitReachedError, TooManyError):
            claim(request, size, begins=begins)
            return
        _give_up(upload_id, key)


def claim(request: FileRequest, size: int, *, begins: bool = True) -> None:
    """Check that there is room for one more file beside all that was begun, stalled or not.

    In the transaction that begins it: two visitors at once cannot both have the last of it.

    :param begins: as for :func:`clear`, which raises the same.
    """
    count, held = _held(request)
    if begins and count >= MOST_UNFINISHED:
        raise TooManyError
    _check(request, 1, size, *_left(request, count, held))


def reserve(request: FileRequest, size: int, *, has_begun: bool) -> None:
    """Count a file against the limits of an open link, in the transaction that brings it.

    :param has_begun: whether it has held its room as an upload, whatever others hold.
    :raises LimitReachedError: if the limits do not allow it any more, or the link has ended.
    """
    files, held = (sa.literal(0), sa.literal(0)) if has_begun else (_HELD_FILES, _HELD_BYTES)
    # What its uploads hold changes with the owner's account locked only.
    lock(Account, Account.id == request.owner_id)
    of_files, of_bytes = FileRequest.file_limit, FileRequest.size_limit
    open_request = (
        update(FileRequest)
        .where(FileRequest.id == request.id)
        # The link may have ended during the upload.
        .where(FileRequest.revoked_at.is_(None))
        .where(or_(FileRequest.expires_at.is_(None), FileRequest.expires_at > now()))
        .where(exists().where(Account.id == FileRequest.owner_id, Account.is_active))
        .where(or_(of_files.is_(None), FileRequest.files + files < of_files))
        .where(or_(of_bytes.is_(None), FileRequest.size + held + max(size, 1) <= of_bytes))
    )
    if not change(open_request.values(files=FileRequest.files + 1, size=FileRequest.size + size)):
        db.session.rollback()
        db.session.refresh(request)
        _check(request, 1, size, *(_left(request, 0, 0) if has_begun else of(request)))
        raise LimitReachedError(request, 0, None)


@contextmanager
def counted(request: FileRequest, size: int) -> Iterator[None]:
    """Count a file before it is stored, and not if that fails; raises as :func:`reserve`.

    Where it is in doubt whether it is stored, it counts.

    No transaction is open meanwhile, as a file is written through to the disk.
    """
    request_id = request.id
    clear(request, size, begins=False)
    reserve(request, size, has_begun=False)
    db.session.commit()
    try:
        yield
    except BaseException as error:
        db.session.rollback()
        if not is_in_doubt(error):
            _release(request_id, size)
        raise


def _is_stalled() -> ColumnElement[bool]:
    is_recent = Upload.used_at.between(*within(STALLED_AFTER))
    return sa.and_(Upload.finished_at.is_(None), sa.not_(is_recent))


def _held(request: FileRequest, *which: ColumnElement[bool]) -> tuple[int, int]:
    """Return how many unfinished uploads by a link there are, and the bytes announced of them."""
    mine = [FileRequest.id == request.id, *_UNFINISHED, *which]
    held = select(func.count(), total(Upload.size)).where(*mine)
    count, size = db.session.execute(held).one()
    return count, size


def _left(request: FileRequest, count: int, size: int) -> tuple[int | None, int | None]:
    """Return what the limits leave beside what is stored, and what is held."""
    of_files, of_bytes = request.file_limit, request.size_limit
    return (
        None if of_files is None else max(of_files - request.files - count, 0),
        None if of_bytes is None else max(of_bytes - request.size - size, 0),
    )


def _check(
    request: FileRequest, files: int, size: int, files_left: int | None, size_left: int | None
) -> None:
    if files_left is not None and files > files_left:
        raise LimitReachedError(request, files_left, None)
    # What is used up accepts no empty file, either.
    if size_left is not None and max(size, 1) > size_left:
        raise LimitReachedError(request, None, size_left)


def _give_up(upload_id: int, key: str) -> None:
    """Delete a stalled upload: its row, then its part; not if a request adds to it."""
    with suppress(PartLockedError), current_parts().unused(key):
        if commit_change(delete(Upload).where(Upload.id == upload_id, _is_stalled())):
            current_parts().forget(key)


def _release(request_id: int, size: int) -> None:
    reserved = update(FileRequest).where(FileRequest.id == request_id)
    commit_change(reserved.values(files=FileRequest.files - 1, size=FileRequest.size - size))
