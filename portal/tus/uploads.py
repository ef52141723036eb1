"""Uploads in pieces: created, added to, finished, cancelled, expired."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import datetime
from typing import BinaryIO, NamedTuple

from flask import current_app
from sqlalchemy import delete, select, update
from sqlalchemy.exc import OperationalError

from portal.core.clock import days_ago
from portal.core.database import change, commit_change, commit_with_next, db
from portal.core.models import Account, FileRequest, Folder, StoredFile, Upload, now
from portal.files import entries, names, quota, tree, unfinished
from portal.files.uploads import add_file
from portal.sharing import limits
from portal.storage.ballast import with_room_to_delete
from portal.storage.disk import OverAllowanceError
from portal.storage.parts import PartFile, PartLockedError, current_parts

from .headers import Checksum, folders_of, parse_metadata

MOST_UNFINISHED = 1000
"""Uploads that one account, or visitors by one of its links, may have begun and not finished."""

_CHUNK = 256 * 1024
_NOTED_EVERY = 16 * 1024**2
"""Bytes after which it is noted how much has arrived."""


class WrongOffsetError(Exception):
    """What was sent does not begin where the upload ends."""


class WrongChecksumError(Exception):
    """What arrived is not what was sent; nothing of it is kept."""


class TooManyError(Exception):
    """The account has begun too many uploads."""


class CancelledError(Exception):
    """Somebody has cancelled the upload while a request added to it."""


class Visit(NamedTuple):
    """A visitor who sends files by a link.

    :param visitor: a hash of the cookie.
    """

    request: FileRequest
    visitor: str


class Announced(NamedTuple):
    """What a client says of a file before it sends it.

    :param metadata: as it was sent; :func:`portal.tus.headers.folders_of` has the folders to put
        the file in, which are created at its end.
    """

    name: str
    size: int
    metadata: str


def expiry(upload: Upload) -> datetime:
    """Return when an upload expires, if nobody resumes it."""
    return upload.used_at + unfinished.lifetime()


def create(
    account: Account, folder: Folder, announced: Announced, visit: Visit | None = None
) -> Upload:
    """Create an upload into a folder of an account, or return the one that was created before.

    A client that missed the answer asks again: with the same ``nonce`` in its metadata it gets the
    same upload, however often it asks.

    :param visit: who sends it, if that is not the account itself.
    :raises HeaderError: if its metadata cannot be read.
    :raises LimitReachedError: if the visitor's link does not allow it, with what they have begun.
    :raises GoneError: if the folder is not there any more.
    :raises QuotaExceededError: if the account may not have that much more, with what it has begun.
    :raises StorageFullError: if the disk has no room for it.
    :raises TooDeepError: if its folders would lie too deep.
    :raises TooManyError: if the account has begun too many.
    """
    depth = len(folders_of(announced.metadata))
    if before := _created_before(account, announced, visit):
        return before
    # Of two limits, the one is told that people can do something about.
    _check_room(account, announced.size, visit)
    key = current_parts().create(announced.size)
    try:
        with entries.changing(account.id):
            upload = _created_before(account, announced, visit)
            if upload is None:
                _check_room(account, announced.size, visit)
                folder = entries.current(folder)
                tree.check_depth(tree.depth(folder.id) + depth)
                upload = _new(folder, announced, visit, key)
                db.session.add(upload)
    except BaseException:
        current_parts().remove(key)
        raise
    if upload.part_key != key:
        current_parts().remove(key)
    return upload


def find(public_id: str) -> Upload | None:
    """Find an upload that has not expired, whoever it belongs to."""
    upload = db.session.scalar(select(Upload).where(Upload.public_id == public_id))
    return None if upload is None or _has_expired(upload) else upload


def opened(upload: Upload) -> PartFile:
    """Open what has arrived of an upload that is not finished; the caller closes it.

    :raises FileNotFoundError: if it is lost.
    :raises PartLockedError: if another request adds to it, so that nobody knows yet how much stays.
    """
    part = current_parts().open(upload.part_key, upload.size)
    try:
        db.session.rollback()  # another request may have noted more since the upload was read
        part.cut(upload.arrived)
    except BaseException:
        part.close()
        raise
    return part


def check_room(upload: Upload) -> None:
    """Check that there is still room for an upload that has begun.

    :raises LimitReachedError: if its visitor's link does not allow it any more.
    :raises QuotaExceededError: if its owner may not have that many bytes more.
    """
    if upload.request:
        limits.check(upload.request, 1, upload.size)
    quota.check_begun(upload.owner_id, upload.size)


def append(
    upload: Upload, part: PartFile, stream: BinaryIO, checksum: Checksum | None = None
) -> None:
    """Add what arrives to an upload, through to the disk.

    What arrived before a lost connection stays, unless a checksum was to prove it; of what arrives
    before the process is killed, at most :data:`_NOTED_EVERY` bytes are lost.

    :param part: from :func:`opened`.
    :raises CancelledError: if somebody has cancelled it meanwhile.
    :raises OverAllowanceError: if it is longer than the upload was announced.
    :raises StorageFullError: if the disk is full.
    :raises WrongChecksumError: if it does not match its checksum.
    """
    start, upload_id = part.size, upload.id
    # To the end of the request, which may be long, no transaction keeps the journal from being
    # cleared.
    db.session.rollback()
    try:
        _read(part, stream, checksum, upload_id)
    except BaseException as error:
        if checksum or isinstance(error, OverAllowanceError):
            part.cut(start)
        # On a full disk less of it stays.
        with suppress(OSError, OperationalError, CancelledError):
            _note_arrived(part, upload_id)
        raise
    _note_arrived(part, upload_id)


def finish(upload: Upload, part: PartFile) -> StoredFile:
    """Keep an upload that is complete: on disk and in the database, or as it was.

    :raises CancelledError: if somebody has cancelled it meanwhile.
    :raises GoneError: if the folder is not there any more.
    :raises LimitReachedError: if its visitor's link does not allow it any more.
    :raises QuotaExceededError: if the account may not have that many bytes more.
    :raises StorageFullError: if the disk is full.
    """
    if part.size != upload.size:
        raise AssertionError("only what is complete is finished")
    part_key, name, path = upload.part_key, upload.name, folders_of(upload.client_metadata)
    link, size = upload.request, upload.size
    check_room(upload)  # before folders are created for it
    _ = part.sha256  # hashed and written down to the disk before the database is locked
    folder = entries.make_path(upload.folder, path)
    try:
        current_parts().take_over(part)
    except FileNotFoundError:
        raise CancelledError from None
    try:
        commit_with_next()  # it is recorded next
        _mark_finished(upload)
        if link:
            limits.reserve(link, size)
        finished = add_file(folder, part, name)
    except BaseException:
        db.session.rollback()
        raise
    finally:
        part.discard()
    current_parts().forget(part_key)
    return finished


@with_room_to_delete
def cancel(upload: Upload) -> None:
    """Delete an upload, also while a request adds to it. The file of a finished one stays."""
    key = upload.part_key
    commit_change(delete(Upload).where(Upload.id == upload.id))
    current_parts().forget(key)


def remove_expired() -> tuple[int, int]:
    """Delete expired uploads, and return how many were unfinished, and how many finished."""
    begun = done = 0
    expired = select(Upload).where(Upload.used_at < days_ago(current_app.config["UPLOAD_DAYS"]))
    for upload in db.session.scalars(expired).all():
        is_finished = upload.finished_at is not None
        try:
            current_parts().remove(upload.part_key)
        except PartLockedError:
            continue
        cancel(upload)
        done, begun = done + is_finished, begun + (not is_finished)
    for key in current_parts().abandoned():
        if not db.session.scalar(select(Upload.id).where(Upload.part_key == key)):
            current_parts().forget(key)
    return begun, done


def _has_expired(upload: Upload) -> bool:
    """Return whether an upload expired, by a clock that may be ahead for a while."""
    days = current_app.config["UPLOAD_DAYS"]
    return expiry(upload) < now() and upload.used_at < days_ago(days)


def _new(folder: Folder, announced: Announced, visit: Visit | None, key: str) -> Upload:
    return Upload(
        owner_id=folder.owner_id,
        folder_id=folder.id,
        request_id=visit and visit.request.id,
        visitor=visit and visit.visitor,
        name=names.clean(announced.name),
        size=announced.size,
        client_metadata=announced.metadata,
        part_key=key,
    )


def _created_before(account: Account, announced: Announced, visit: Visit | None) -> Upload | None:
    if "nonce" not in parse_metadata(announced.metadata):
        return None
    same = select(Upload).where(
        Upload.owner_id == account.id,
        Upload.size == announced.size,
        Upload.client_metadata == announced.metadata,
        Upload.visitor.is_not_distinct_from(visit and visit.visitor),
    )
    return db.session.scalar(same)


def _check_room(account: Account, size: int, visit: Visit | None) -> None:
    if unfinished.count_begun(account.id, visit and visit.request.id) >= MOST_UNFINISHED:
        raise TooManyError
    if visit:
        begun = unfinished.of_visitor(visit.request, visit.visitor)
        limits.check(visit.request, len(begun) + 1, sum(one.size for one in begun) + size)
    quota.check(account, size)


def _read(part: PartFile, stream: BinaryIO, checksum: Checksum | None, upload_id: int) -> None:
    noted = part.size
    hashed = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
    while chunk := stream.read(_CHUNK):
        part.write(chunk)
        if hashed:
            hashed.update(chunk)
        elif part.size - noted >= _NOTED_EVERY:
            noted = _note_arrived(part, upload_id)
    if hashed and checksum and hashed.digest() != checksum.digest:
        raise WrongChecksumError


def _note_arrived(part: PartFile, upload_id: int) -> int:
    """Note how much is on the disk, and return it; raise :exc:`CancelledError` if that is vain."""
    arrived = part.sync()
    noted = update(Upload).where(Upload.id == upload_id)
    if not commit_change(noted.values(arrived=arrived, used_at=now())):
        raise CancelledError
    return arrived


def _mark_finished(upload: Upload) -> None:
    """Record it in the transaction that brings the file, unless it was cancelled or finished."""
    moment = now()
    open_upload = update(Upload).where(Upload.id == upload.id, Upload.finished_at.is_(None))
    if not change(open_upload.values(finished_at=moment, used_at=moment)):
        raise CancelledError
