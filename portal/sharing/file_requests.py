"""File requests: made, changed, revoked, and counted when something is uploaded through them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, or_, update

from portal.core.database import db
from portal.core.models import Account, FileRequest, Folder, hash_token, now

from . import links


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On what terms others may upload.

    :param note: shown to whoever opens it.
    :param expires_at: when it ends; none: not by itself.
    :param file_limit: how many files there may be in all; none: any number.
    :param size_limit: bytes that they may have in all; none: what the owner's quota has room for.
    """

    note: str = ""
    expires_at: datetime | None = None
    file_limit: int | None = None
    size_limit: int | None = None


def create(folder: Folder, terms: Terms) -> tuple[FileRequest, str]:
    """Ask others for files, and give the request with its token.

    The token is not kept: nobody can read it again.
    """
    token = links.make_token(FileRequest)
    made = FileRequest(token_hash=hash_token(token), folder_id=folder.id, owner_id=folder.owner_id)
    _set_terms(made, terms)
    db.session.add(made)
    db.session.commit()
    return made, token


def change(request: FileRequest, terms: Terms) -> None:
    """Change the terms; the link stays the same."""
    _set_terms(request, terms)
    db.session.commit()


def reserve(request: FileRequest, size: int) -> bool:
    """Count a file against the limits. Of many at once, no more than fit get through.

    :returns: whether the file may be kept. If it then is not, :func:`give_back` what was counted.
    """
    counted = db.session.scalar(
        update(FileRequest)
        .where(FileRequest.id == request.id)
        # An upload takes its time, and its end counts.
        .where(FileRequest.revoked_at.is_(None))
        .where(or_(FileRequest.expires_at.is_(None), FileRequest.expires_at > now()))
        .where(exists().where(Account.id == FileRequest.owner_id, Account.is_active))
        .where(or_(FileRequest.file_limit.is_(None), FileRequest.files < FileRequest.file_limit))
        .where(
            or_(FileRequest.size_limit.is_(None), FileRequest.size + size <= FileRequest.size_limit)
        )
        .values(files=FileRequest.files + 1, size=FileRequest.size + size)
        .returning(FileRequest.files)
    )
    db.session.commit()
    return counted is not None


def give_back(request_id: int, size: int) -> None:
    """Take back what was counted for a file that could not be kept."""
    db.session.execute(
        update(FileRequest)
        .where(FileRequest.id == request_id)
        .values(files=FileRequest.files - 1, size=FileRequest.size - size)
    )
    db.session.commit()


def _set_terms(request: FileRequest, terms: Terms) -> None:
    request.note = terms.note
    request.expires_at = terms.expires_at
    request.file_limit, request.size_limit = terms.file_limit, terms.size_limit
