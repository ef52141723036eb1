"""Shares: made, changed, revoked, and counted when something is downloaded through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import current_app
from sqlalchemy import Select, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from portal.core.database import db
from portal.core.models import Entry, Share, ShareDownload, hash_token, now
from portal.identity import passwords

from . import links


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On what terms a share is given.

    :param note: shown to whoever opens it.
    :param expires_at: when it ends; none: not by itself.
    :param download_limit: how many downloads there may be; none: any number.
    """

    note: str = ""
    expires_at: datetime | None = None
    download_limit: int | None = None


def create(entry: Entry, terms: Terms, password: str | None = None) -> tuple[Share, str]:
    """Share a file or folder of its owner's, and give the share with its token.

    The token is not kept: nobody can read it again.

    :param password: what is asked for before anything is shown.
    """
    token = links.make_token(Share)
    share = Share(token_hash=hash_token(token), entry_id=entry.id, owner_id=entry.owner_id)
    _set_terms(share, terms)
    db.session.add(share)
    set_password(share, password)
    return share, token


def change(share: Share, terms: Terms) -> None:
    """Change the terms; the link stays the same."""
    _set_terms(share, terms)
    db.session.commit()


def set_password(share: Share, password: str | None) -> None:
    """Set another password, or none. What the old one had unlocked is locked again."""
    share.password_hash = passwords.hash_password(password) if password else None
    db.session.commit()


def of_entry(entry: Entry) -> Sequence[Share]:
    """Give the shares of one file or folder, the latest first."""
    of_it = select(Share).where(Share.entry_id == entry.id)
    return db.session.scalars(of_it.order_by(Share.id.desc())).all()


def begin_download(share: Share, entry: Entry, visitor: str) -> bool:
    """Count a download, unless this visitor's was counted not long ago, or the limit is reached.

    Of many at once, no more than the limit get through; of one visitor's, one is counted.

    :returns: whether there may be the download.
    """
    if may_download(share, entry, visitor):
        return True
    if not _count(share):
        db.session.rollback()
        # Pressed twice: the other one was counted meanwhile.
        return may_download(share, entry, visitor)
    values = {"share_id": share.id, "entry_id": entry.id, "visitor": visitor, "counted_at": now()}
    row = insert(ShareDownload).values(values)
    fresh = ShareDownload.counted_at < _oldest_grant()
    counted = db.session.scalar(
        row.on_conflict_do_update(
            index_elements=["share_id", "entry_id", "visitor"],
            set_={"counted_at": row.excluded.counted_at},
            where=fresh,
        ).returning(ShareDownload.id)
    )
    if counted is None:
        db.session.rollback()
        return True
    db.session.commit()
    return True


def count_download(share: Share) -> bool:
    """Count a download that cannot be resumed, unless the limit is reached.

    :returns: whether there may be the download.
    """
    counted = _count(share)
    db.session.commit()
    return counted


def may_download(share: Share, entry: Entry, visitor: str) -> bool:
    """Tell whether a visitor's download of a file was counted not long ago."""
    of_it = _grants(share, visitor).where(ShareDownload.entry_id == entry.id)
    return bool(db.session.scalar(select(of_it.exists())))


def has_begun(share: Share, visitor: str) -> bool:
    """Tell whether any download of a visitor's was counted not long ago."""
    return bool(db.session.scalar(select(_grants(share, visitor).exists())))


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
    counted = db.session.scalar(
        update(Share)
        .where(Share.id == share.id)
        .where(or_(Share.download_limit.is_(None), Share.downloads < Share.download_limit))
        .values(downloads=Share.downloads + 1)
        .returning(Share.downloads)
    )
    return counted is not None


def _set_terms(share: Share, terms: Terms) -> None:
    share.note = terms.note
    share.expires_at = terms.expires_at
    share.download_limit = terms.download_limit
