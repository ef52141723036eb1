"""What clients announce before they send it, and find again: with a ``nonce`` in its metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import delete, insert, select

from portal.core.database import change, db
from portal.core.models import CancelledUpload, Upload
from portal.files import unfinished

from .headers import is_metadata, parse_metadata
from .pieces import CancelledError

_MOST_CANCELLED = 10_000
"""Cancelled uploads that are remembered, the newest: a visitor could otherwise fill the disk."""


class Announced(NamedTuple):
    """What a client says of a file before it sends it.

    :param metadata: as it was sent; :func:`portal.tus.headers.folders_of` has the folders to put
        the file in, which are created at its end.
    """

    name: str
    size: int
    metadata: str


def begun(
    owner_id: int, announced: Sequence[Announced], visitor: str | None = None
) -> Mapping[Announced, Upload]:
    """Return the uploads that earlier requests of the same client began, of those announced.

    Those that have expired are not among them: nobody finds these again.
    """
    wanted = {(one.size, one.metadata): one for one in announced if _has_nonce(one.metadata)}
    if not wanted:
        return {}
    mine = select(Upload).where(
        Upload.owner_id == owner_id,
        Upload.client_metadata.in_([metadata for _, metadata in wanted]),
        Upload.visitor.is_not_distinct_from(visitor),
    )
    found = {
        (one.size, one.client_metadata): one
        for one in db.session.scalars(mine)
        if not unfinished.has_expired(one)
    }
    return {wanted[key]: upload for key, upload in found.items() if key in wanted}


def check_not_cancelled(
    owner_id: int, announced: Sequence[Announced], visitor: str | None = None
) -> None:
    """Raise :exc:`CancelledError` if somebody has cancelled the upload of one that is announced.

    Its request may have been on its way when another one began the upload, after an answer was
    lost.
    """
    again = [one for one in announced if _has_nonce(one.metadata)]
    digests = [_digest(owner_id, one.size, visitor, one.metadata) for one in again]
    cancelled = select(CancelledUpload.digest).where(CancelledUpload.digest.in_(digests))
    if digests and db.session.scalar(cancelled.limit(1)):
        raise CancelledError


def note_cancelled(upload: Upload) -> None:
    """Remember that an upload was cancelled, in the transaction that deletes it."""
    if not _has_nonce(upload.client_metadata):
        return
    said = upload.owner_id, upload.size, upload.visitor, upload.client_metadata
    change(insert(CancelledUpload).values(digest=_digest(*said)))
    newest = select(CancelledUpload.digest).order_by(CancelledUpload.cancelled_at.desc())
    if older := db.session.scalars(newest.offset(_MOST_CANCELLED)).all():
        change(delete(CancelledUpload).where(CancelledUpload.digest.in_(older)))


def _has_nonce(metadata: str) -> bool:
    # What is damaged can be cancelled nevertheless.
    return is_metadata(metadata) and "nonce" in parse_metadata(metadata)


def _digest(owner_id: int, size: int, visitor: str | None, metadata: str) -> str:
    said = json.dumps([owner_id, size, visitor, metadata])
    return hashlib.sha256(said.encode()).hexdigest()
