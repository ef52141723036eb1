"""Whether a link works, and if not, why: it never outlives what it leads to, or whose it is."""

from __future__ import annotations

from enum import Enum

from portal.core.models import FileRequest, Share, now


class Standing(Enum):
    """How a link stands."""

    OPEN = "open"
    EXPIRED = "expired"
    REVOKED = "revoked"
    USED_UP = "used up"
    GONE = "gone"
    """Its file or folder is deleted or in the trash, or its owner may not share any more."""


def standing(link: Share | FileRequest) -> Standing:
    """Tell how a link stands now."""
    target = link.entry if isinstance(link, Share) else link.folder
    if link.revoked_at is not None:
        return Standing.REVOKED
    if not link.owner.is_active or target.trash_id is not None or target.owner_id != link.owner_id:
        return Standing.GONE
    if link.expires_at is not None and link.expires_at <= now():
        return Standing.EXPIRED
    return Standing.USED_UP if _is_used_up(link) else Standing.OPEN


def _is_used_up(link: Share | FileRequest) -> bool:
    if isinstance(link, Share):
        return link.download_limit is not None and link.downloads >= link.download_limit
    return (link.file_limit is not None and link.files >= link.file_limit) or (
        link.size_limit is not None and link.size >= link.size_limit
    )
