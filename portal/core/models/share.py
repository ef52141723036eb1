"""Links for people without an account."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from . import values
from .account import Account
from .base import (
    NEVER_REUSED_IDS,
    Base,
    Bytes,
    EntryId,
    Limit,
    LinkName,
    Moment,
    Note,
    OwnerId,
    PublicId,
    TokenHash,
)
from .entry import Entry, Folder


class PublicLink:
    """What all links for people without an account have."""

    __table_args__ = NEVER_REUSED_IDS

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[OwnerId]
    public_id: Mapped[PublicId]
    token_hash: Mapped[TokenHash]
    # Visitors see the note, and not the name.
    name: Mapped[LinkName]
    note: Mapped[Note]
    created_at: Mapped[Moment]
    # None: it does not expire.
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Share(PublicLink, Base):
    """A link for downloading a file, or everything in a folder."""

    __tablename__ = "share"

    entry_id: Mapped[EntryId]
    password_hash: Mapped[str | None] = mapped_column(values.Text(255, values.ARGON2))
    # None: no limit.
    download_limit: Mapped[int | None]
    downloads: Mapped[int] = mapped_column(default=0)

    owner: Mapped[Account] = relationship(lazy="joined", innerjoin=True)
    entry: Mapped[Entry] = relationship(lazy="joined", innerjoin=True)


class ShareDownload(Base):
    """A counted download. For a while, its visitor may resume it without counting again."""

    __tablename__ = "share_download"
    __table_args__ = (sa.UniqueConstraint("share_id", "entry_id", "visitor"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    share_id: Mapped[int] = mapped_column(sa.ForeignKey("share.id", ondelete="CASCADE"))
    entry_id: Mapped[EntryId]
    # A hash of the visitor's cookie.
    visitor: Mapped[str] = mapped_column(values.Text(64, values.HASH))
    counted_at: Mapped[Moment]


class FileRequest(PublicLink, Base):
    """A link for uploading into a folder."""

    __tablename__ = "file_request"

    folder_id: Mapped[EntryId]
    # None: only the owner's quota limits it.
    file_limit: Mapped[int | None]
    size_limit: Mapped[Limit | None]
    files: Mapped[int] = mapped_column(default=0)
    size: Mapped[Bytes] = mapped_column(default=0)
    # Whether visitors are asked for a name, and for a message, before they send files.
    asks_name: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    asks_message: Mapped[bool] = mapped_column(default=False, server_default=sa.false())

    owner: Mapped[Account] = relationship(lazy="joined", innerjoin=True)
    folder: Mapped[Folder] = relationship(lazy="joined", innerjoin=True)
