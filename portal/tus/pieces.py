"""Pieces of uploads: what has arrived is opened, added to, and kept as a file at its end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO

from sqlalchemy import case, delete, insert, or_, select, update

from portal.core.database import AWAY, change, commit_change, db, lock
from portal.core.models import Account, StoredFile, Upload, UploadPiece, now
from portal.files import entries, quota, replacing
from portal.files.uploads import file_of, unless_kept
from portal.sharing import room
from portal.storage.content import current_storage
from portal.storage.incoming import OverAllowanceError
from portal.storage.parts import PartFile, PartLockedError, Piece, current_parts

from . import headers, visits
from .headers import Checksum, folders_of

_CHUNK = 256 * 1024
_NOTED_EVERY = 16 * 1024**2
"""Bytes after which it is noted how much has arrived."""


class WrongOffsetError(Exception):
    """What was sent does not begin where the upload ends."""


class WrongChecksumError(Exception):
    """What arrived is not what was sent; nothing of it is kept."""


class CancelledError(Exception):
    """Somebody has cancelled the upload while a request added to it."""


class FinishedError(Exception):
    """Another request has brought the rest of the upload."""


_OVERTAKEN = (CancelledError, FinishedError, PartLockedError)
"""What somebody else did to an upload meanwhile."""


def opened(upload: Upload) -> PartFile:
    """Open what has arrived of an upload that is not finished; the caller closes it.

    :raises CancelledError: if somebody has cancelled it since it was read.
    :raises FileNotFoundError: if it is lost.
    :raises FinishedError: if another request has finished it since it was read.
    :raises PartLockedError: if another request adds to it, so that nobody knows yet how much stays.
    """
    upload_id, key = upload.id, upload.part_key
    with _dropped_if_over(key):
        try:
            part = current_parts().resume(key, upload.size)
        except FileNotFoundError:
            _read_again(upload_id)
            raise
        try:
            part.settle(*_acknowledged(upload_id))  # another request may have noted more
        except BaseException:
            part.close()
            raise
    return part


def acknowledged(upload: Upload) -> int | None:
    """Return how much other hosts will fetch of an upload, without fetching it here.

    None: it has to be opened, as this host alone knows what is there, or all of it is.

    :raises CancelledError: if somebody has cancelled it since it was read.
    :raises FinishedError: if another request has finished it since it was read.
    :raises PartLockedError: if another request adds to it here: more may be acknowledged soon.
    """
    if not current_parts().are_shared:
        return None
    upload_id = upload.id
    with current_parts().unused(upload.part_key):
        now_there = _read_again(upload_id)
        return now_there.arrived if now_there.arrived < now_there.size else None


def check_room(upload: Upload, piece: int = 0) -> None:
    """Check that there is still room for an upload that has begun.

    :param piece: bytes that are about to arrive.

    :raises LimitReachedError: if its visitor's link does not accept it any more.
    :raises QuotaExceededError: if its owner may not have that many bytes more.
    """
    if upload.request:
        room.check_begun(upload.request, upload.size)
        quota.check(upload.request.owner, piece)
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
    :raises QuotaExceededError: if a visitor's owner may not have that many bytes more by now.
    :raises StorageFullError: if the disk is full.
    :raises WrongChecksumError: if it does not match its checksum.
    """
    start, upload_id, key = part.size, upload.id, upload.part_key
    # To the end of the request, which may be long, no transaction keeps the journal from being
    # cleared.
    db.session.rollback()
    with _dropped_if_over(key):
        try:
            _read(part, stream, checksum, upload_id)
        except BaseException as error:
            if checksum or isinstance(error, OverAllowanceError):
                part.cut(start)
            # On a full disk less of it stays.
            with suppress(OSError, *AWAY, *_OVERTAKEN, quota.QuotaExceededError):
                _note_arrived(part, upload_id)
            raise
        _note_arrived(part, upload_id)


def finish(upload: Upload, part: PartFile) -> StoredFile:
    """Keep an upload that is complete: on disk and in the database, or as it was.

    :raises CancelledError: if somebody has cancelled it meanwhile.
    :raises FinishedError: if another request has finished it meanwhile.
    :raises GoneError: if the folder is not there any more.
    :raises LimitReachedError: if its visitor's link does not allow it any more.
    :raises QuotaExceededError: if the account may not have that many bytes more.
    :raises StorageFullError: if the disk is full.
    """
    if part.size != upload.size:
        raise AssertionError("only what is complete is finished")
    part_key, name, path = upload.part_key, upload.name, folders_of(upload.client_metadata)
    link, size = upload.request, upload.size
    note, also = visits.note_of(upload), visits.arrival_of(upload)
    upload_id, owner_id = upload.id, upload.owner_id
    # What a visitor sends never replaces anything, whatever they say.
    replaces = upload.request_id is None and headers.replaces(upload.client_metadata)
    check_room(upload)  # before folders are created for it
    try:
        _ = part.sha256  # hashed and written down to the disk before the database is locked
    except FileNotFoundError:
        _read_again(upload_id)
        raise
    folder = entries.make_path(upload.folder, path)
    try:
        current_parts().take_over(part)
    except FileNotFoundError:
        _read_again(upload_id)
        raise
    db.session.rollback()  # a store may take its time
    try:
        key = current_storage().keep(part)
    finally:
        part.discard()
    with _dropped_if_over(part_key), unless_kept(key):
        # First, as whoever deletes the folder has it locked when the upload goes.
        lock(Account, Account.id == owner_id)
        _mark_finished(upload_id)
        if link:
            room.reserve(link, size, has_begun=True)
        file = file_of(part, name, key)
        finished = replacing.place(file, folder, note, replaces=replaces, also=also).file
    current_parts().forget(part_key)
    if finished.name != name:  # for a client that missed the answer
        commit_change(update(Upload).where(Upload.id == upload_id).values(name=finished.name))
    return finished


@contextmanager
def _dropped_if_over(key: str) -> Iterator[None]:
    """Delete what this host has of an upload that another one has finished or cancelled.

    That deleted its own part only. A request that waits for this one finds out as well.
    """
    try:
        yield
    except (CancelledError, FinishedError):
        current_parts().drop(key)
        raise


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
    """Note how much is on the disk, and return it; raises as :func:`append`.

    Where a visitor's owner has no room for it, it is cut to what was noted before.
    """
    arrived = part.sync()
    # Two visitors at once cannot both have the last of their owner's room.
    owner = select(Upload.owner_id).where(Upload.id == upload_id, Upload.request_id.is_not(None))
    lock(Account, Account.id == owner.scalar_subquery())
    is_counted = or_(Upload.request_id.is_(None), Upload.arrived >= arrived)
    fits = or_(is_counted, quota.holds(arrived))
    noted = update(Upload).where(Upload.id == upload_id)
    if current_parts().are_shared:  # another host may have gone on meanwhile
        noted = noted.where(Upload.arrived == part.acknowledged, Upload.finished_at.is_(None))
    # Who sends nothing does not go on, and holds nothing for longer.
    used_at = case((Upload.arrived < arrived, now()), else_=Upload.used_at)
    recorded = arrived if current_parts().are_shared else None
    is_noted = change(noted.where(fits).values(arrived=arrived, used_at=used_at, recorded=recorded))
    if is_noted:
        _record(part.unrecorded, upload_id)
    db.session.commit()
    if not is_noted:
        upload = db.session.get(Upload, upload_id, populate_existing=True)
        if upload is None:
            raise CancelledError
        if current_parts().are_shared and upload.finished_at:
            raise FinishedError
        if current_parts().are_shared and upload.arrived != part.acknowledged:
            raise PartLockedError
        part.cut(upload.arrived)
        raise quota.QuotaExceededError(db.session.get_one(Account, upload.owner_id))
    part.acknowledge()
    return arrived


def _acknowledged(upload_id: int) -> tuple[int, Sequence[Piece]]:
    """Return how much of an upload was acknowledged, and its pieces, at one moment.

    :raises CancelledError: if somebody has cancelled it since it was read.
    :raises FinishedError: if another request has finished it since it was read.
    """
    db.session.rollback()
    end = UploadPiece.start + UploadPiece.size
    found = select(
        Upload.arrived, Upload.finished_at, UploadPiece.start, end.label("end"), UploadPiece.nonce
    ).outerjoin(UploadPiece, UploadPiece.upload_id == Upload.id)
    of_upload = found.where(Upload.id == upload_id).order_by(UploadPiece.start)
    rows = db.session.execute(of_upload).all()
    if not rows:
        raise CancelledError
    if rows[0].finished_at:
        raise FinishedError
    return rows[0].arrived, [Piece(row.start, row.end, row.nonce) for row in rows if row.nonce]


def _record(pieces: Sequence[Piece], upload_id: int) -> None:
    """Have the database know pieces, in place of those that begin with the first or later."""
    if pieces:
        later = delete(UploadPiece).where(UploadPiece.upload_id == upload_id)
        change(later.where(UploadPiece.start >= pieces[0].start))
        rows = [
            {
                "upload_id": upload_id,
                "start": piece.start,
                "size": piece.end - piece.start,
                "nonce": piece.nonce,
            }
            for piece in pieces
        ]
        db.session.execute(insert(UploadPiece), rows)


def _mark_finished(upload_id: int) -> None:
    """Record it in the transaction that brings the file, unless it was cancelled or finished."""
    moment = now()
    open_upload = update(Upload).where(Upload.id == upload_id, Upload.finished_at.is_(None))
    if not change(open_upload.values(finished_at=moment, used_at=moment, recorded=None)):
        _read_again(upload_id)
    if current_parts().are_shared:
        change(delete(UploadPiece).where(UploadPiece.upload_id == upload_id))


def _read_again(upload_id: int) -> Upload:
    """Return an unfinished upload as it is now, or raise what came between."""
    db.session.rollback()
    upload = db.session.get(Upload, upload_id, populate_existing=True)
    if upload is None:
        raise CancelledError
    if upload.finished_at:
        raise FinishedError
    return upload
