"""Whether a link works, and if not, why."""

from __future__ import annotations

from enum import Enum

from sqlalchemy import ColumnElement, and_, bindparam, or_

from portal.core.models import Account, Entry, FileRequest, Share, now

from .links import target


class Status(Enum):
    """The status of a link."""

    OPEN = "open"
    EXPIRED = "expired"
    REVOKED = "revoked"
    USED_UP = "used up"
    GONE = "gone"
    """The file or folder is deleted or in the trash, or the owner may no longer share it."""


def status_of(link: Share | FileRequest) -> Status:
    """Return the present status of a link."""
    entry = target(link)
    if link.revoked_at is not None:
        return Status.REVOKED
    if not link.owner.is_active or entry.trash_id is not None or entry.owner_id != link.owner_id:
        return Status.GONE
    if link.expires_at is not None and link.expires_at <= now():
        return Status.EXPIRED
    return Status.USED_UP if _is_used_up(link) else Status.OPEN


def may_look(entry: type[Entry]) -> ColumnElement[bool]:
    """Return the condition by which a statement finds shares that are open or used up.

    It is what :func:`status_of` says, for a statement that joins a share's owner.

    :param entry: what the share leads to, as the statement calls it.
    """
    return and_(
        Share.revoked_at.is_(None),
        Account.is_active,
        entry.trash_id.is_(None),
        entry.owner_id == Share.owner_id,
        or_(Share.expires_at.is_(None), Share.expires_at > bindparam("now")),
    )


def _is_used_up(link: Share | FileRequest) -> bool:
    if isinstance(link, Share):
        return link.download_limit is not None and link.downloads >= link.download_limit
    return (link.file_limit is not None and link.files >= link.file_limit) or (
        link.size_limit is not None and link.size >= link.size_limit
    )
