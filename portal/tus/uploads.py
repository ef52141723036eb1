"""Uploads in pieces: created, added to, finished, cancelled, expired."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import datetime, timedelta
from typing import BinaryIO, NamedTuple, cast

from flask import current_app
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from portal.core.clock import days_ago
from portal.core.database import change, commit_change, db
from portal.core.models import Account, Folder, StoredFile, Upload, now
from portal.files import entries, names, quota
from portal.files.policy import may
from portal.files.uploads import add_file
from portal.storage.disk import OverAllowanceError

from .headers import Checksum
from .parts import PartFile, PartLockedError, Parts

MOST_UNFINISHED = 1000
"""Uploads that one account may have begun and not finished."""

_CHUNK = 256 * 1024
_NOTED_EVERY = 16 * 1024**2
"""Bytes after which it is noted how much has arrived."""


class WrongOffsetError(Exception):
    """What was sent does not begin where the upload ends."""


class WrongChecksumError(Exception):
    """What arrived is not what was sent; nothing of it is kept."""


class TooManyError(Exception):
    """The account has begun too many uploads."""


class Announced(NamedTuple):
    """What a client says of a file before it sends it.

    :param path: folders to put it in, created where they are missing; none for the folder itself.
    :param metadata: as it was sent.
    """

    name: str
    size: int
    path: tuple[str, ...]
    metadata: str


def current_parts() -> Parts:
    """Return the store of unfinished uploads."""
    return cast("Parts", current_app.extensions["portal.parts"])


def expiry(upload: Upload) -> datetime:
    """Return when an upload expires, if nobody resumes it."""
    return upload.used_at + _lifetime()


def create(account: Account, folder: Folder, announced: Announced) -> Upload:
    """Create an upload.

    :raises GoneError: if the folder is not there any more.
    :raises QuotaExceededError: if the account may not have that much more, with what it has begun.
    :raises StorageFullError: if the disk has no room for it.
    :raises TooDeepError: if its folders would lie too deep.
    :raises TooManyError: if the account has begun too many.
    """
    key = current_parts().create(announced.size)
    try:
        with entries.changing(account.id):
            _check_room(account, announced.size)
            folder = entries.current(folder)
            for part in announced.path:
                folder = entries.subfolder(folder, names.clean(part))
            upload = Upload(
                owner_id=account.id,
                folder_id=folder.id,
                name=names.clean(announced.name),
                size=announced.size,
                client_metadata=announced.metadata,
                part_key=key,
            )
            db.session.add(upload)
    except BaseException:
        current_parts().remove(key)
        raise
    return upload


def find(account: Account, public_id: str) -> Upload | None:
    """Find an upload that an account may resume."""
    upload = db.session.scalar(select(Upload).where(Upload.public_id == public_id))
    if upload is None or upload.owner_id != account.id or expiry(upload) < now():
        return None
    return upload if upload.finished_at or may(account, "add", upload.folder) else None


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


def append(
    upload: Upload, part: PartFile, stream: BinaryIO, checksum: Checksum | None = None
) -> None:
    """Add what arrives to an upload, through to the disk.

    What arrived before a lost connection stays, unless a checksum was to prove it; of what arrives
    before the process is killed, at most :data:`_NOTED_EVERY` bytes are lost.

    :param part: from :func:`opened`.
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
        with suppress(OSError, OperationalError):  # on a full disk; then less of it stays
            _note_arrived(part, upload_id)
        raise
    _note_arrived(part, upload_id)


def finish(upload: Upload, part: PartFile) -> StoredFile | None:
    """Keep an upload that is complete: on disk and in the database, or as it was.

    :returns: none if another request was faster.
    :raises GoneError: if the folder is not there any more.
    :raises QuotaExceededError: if the account may not have that many bytes more.
    :raises StorageFullError: if the disk is full.
    """
    if part.size != upload.size:
        raise AssertionError("only what is complete is finished")
    part_key, name, folder = upload.part_key, upload.name, upload.folder
    _ = part.sha256  # hashed and written down to the disk before the database is locked
    current_parts().take_over(part)
    try:
        finished = _mark_finished(upload) and add_file(folder, part, name)
    except BaseException:
        db.session.rollback()
        raise
    finally:
        part.discard()
    current_parts().remove_complete(part_key)
    return finished or None


def remove(upload: Upload) -> None:
    """Delete an upload, as :meth:`Parts.remove` does. The file of a finished one stays."""
    current_parts().remove(upload.part_key)
    db.session.delete(upload)
    db.session.commit()


def remove_expired() -> int:
    """Delete expired uploads, and return how many."""
    count = 0
    expired = select(Upload).where(Upload.used_at < days_ago(current_app.config["UPLOAD_DAYS"]))
    for upload in db.session.scalars(expired).all():
        try:
            remove(upload)
        except PartLockedError:
            continue
        count += 1
    for key in current_parts().abandoned():
        if not db.session.scalar(select(Upload.id).where(Upload.part_key == key)):
            current_parts().remove_complete(key)
    return count


def _lifetime() -> timedelta:
    return timedelta(days=current_app.config["UPLOAD_DAYS"])


def _check_room(account: Account, size: int) -> None:
    begun = (
        select(func.count(), func.coalesce(func.sum(Upload.size), 0))
        .where(Upload.owner_id == account.id, Upload.finished_at.is_(None))
        .where(Upload.used_at > now() - _lifetime())
    )
    count, waiting = db.session.execute(begun).one()
    if count >= MOST_UNFINISHED:
        raise TooManyError
    quota.check(account, size, waiting)


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
    """Note how much is on the disk, and return it."""
    arrived = part.sync()
    noted = update(Upload).where(Upload.id == upload_id)
    commit_change(noted.values(arrived=arrived, used_at=now()))
    return arrived


def _mark_finished(upload: Upload) -> bool:
    """Record it in the transaction that brings the file; of two requests, one succeeds."""
    moment = now()
    open_upload = update(Upload).where(Upload.id == upload.id, Upload.finished_at.is_(None))
    return change(open_upload.values(finished_at=moment, used_at=moment)) > 0
