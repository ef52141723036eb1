"""Uploads in pieces: created, added to, finished, cancelled, expired."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from flask import current_app
from sqlalchemy import delete, select

from portal.core.clock import correct, days_ago
from portal.core.database import change, commit_change, db
from portal.core.models import Account, CancelledUpload, FileRequest, Folder, Upload
from portal.files import entries, names, quota, tree, unfinished
from portal.sharing import room
from portal.storage.ballast import with_room_to_delete
from portal.storage.parts import PartLockedError, current_parts

from .announced import Announced, begun, check_not_cancelled, note_cancelled
from .headers import HeaderError, folders_of, replaces


class Visit(NamedTuple):
    """A visitor who sends files by a link.

    :param visitor: a hash of the cookie.
    """

    request: FileRequest
    visitor: str


def create(
    account: Account, folder: Folder, announced: Announced, visit: Visit | None = None
) -> Upload:
    """Create an upload into a folder of an account, or return the one that was created before.

    A client that missed the answer asks again: with the same ``nonce`` in its metadata it gets the
    same upload, however often it asks, and none once that is cancelled.

    :param visit: who sends it, if that is not the account itself.
    :raises CancelledError: if it was created before, and somebody has cancelled it.
    :raises HeaderError: if its metadata cannot be read.
    :raises LimitReachedError: if the visitor's link does not accept it beside what others send.
    :raises GoneError: if the folder is not there any more.
    :raises QuotaExceededError: if the account may not have that much more, with what it has begun.
    :raises StorageFullError: if the disk has no room for it.
    :raises TooDeepError: if its folders would lie too deep.
    :raises TooManyError: if the account, or visitors by the link, have begun too many.
    """
    depth = len(folders_of(announced.metadata))
    if visit and replaces(announced.metadata):
        raise HeaderError("By a link, nothing is replaced. Send it without 'replace'.")
    visitor = visit and visit.visitor
    if before := begun(account.id, [announced], visitor).get(announced):
        return before
    check_not_cancelled(account.id, [announced], visitor)  # before others give theirs up for it
    # Of two limits, the one is told that people can do something about.
    if visit:
        room.check(visit.request, 1, announced.size)
    quota.check(account, announced.size)
    tree.check_depth(tree.depth(entries.current(folder).id) + depth)
    key = current_parts().create(announced.size)
    try:
        if visit:  # others lose theirs for what really begins
            room.clear(visit.request, announced.size)
        with entries.changing(account.id):
            upload = begun(account.id, [announced], visitor).get(announced)
            if upload is None:
                check_not_cancelled(account.id, [announced], visitor)
                _check_room(account, announced.size, visit)
                folder = entries.current(folder)
                tree.check_depth(tree.depth(folder.id) + depth)
                upload = new(folder, announced, visit, key)
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
    return None if upload is None or unfinished.has_expired(upload) else upload


def cancel(upload: Upload) -> None:
    """Delete an upload for somebody, also while a request adds to it.

    The file of a finished one stays. It is remembered where requests to create it say that it is
    the same: another one of them may still be on its way.
    """
    _delete(upload, is_cancelled=True)


def remove(upload: Upload) -> None:
    """Delete an upload whose content is lost or expired: its client may begin it again."""
    _delete(upload)


def remove_expired() -> tuple[int, int]:
    """Delete expired uploads, and return how many were unfinished, and how many finished."""
    begun = done = 0
    correct(Upload.used_at)
    oldest = days_ago(current_app.config["UPLOAD_DAYS"])
    commit_change(delete(CancelledUpload).where(CancelledUpload.cancelled_at < oldest))
    expired = select(Upload).where(Upload.used_at < oldest)
    for upload in db.session.scalars(expired).all():
        is_finished = upload.finished_at is not None
        with suppress(PartLockedError), current_parts().unused(upload.part_key):
            remove(upload)
            done, begun = done + is_finished, begun + (not is_finished)
    return begun, done


def remove_orphans() -> int:
    """Delete parts that no upload has had for a day, or that were finished; return how many.

    Another host may have finished what this one has a part of, and deleted its own only.
    """
    count = 0
    for key in current_parts().here():
        finished = select(Upload.id).where(Upload.part_key == key, Upload.finished_at.is_not(None))
        if db.session.scalar(finished):
            current_parts().drop(key)
            count += 1
    for key in current_parts().abandoned():
        open_upload = select(Upload.id).where(Upload.part_key == key, Upload.finished_at.is_(None))
        if not db.session.scalar(open_upload):
            current_parts().forget(key)
            count += 1
    return count


@with_room_to_delete
def _delete(upload: Upload, *, is_cancelled: bool = False) -> None:
    key = upload.part_key
    if change(delete(Upload).where(Upload.id == upload.id)) and is_cancelled:
        note_cancelled(upload)
    db.session.commit()
    current_parts().forget(key)


def new(folder: Folder, announced: Announced, visit: Visit | None, key: str) -> Upload:
    """Return the upload of what was announced, whose content arrives in a part of that key."""
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


def _check_room(account: Account, size: int, visit: Visit | None) -> None:
    if visit:
        room.claim(visit.request, size)
    elif unfinished.count_begun(account.id) >= room.MOST_UNFINISHED:
        raise room.TooManyError
    quota.check(account, size)
