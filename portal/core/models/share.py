"""Links for people without an account."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .account import Account
from .base import NEVER_AGAIN, Base, UTCDateTime, new_token, now
from .entry import Entry, Folder


class HandedLink:
    """What a link for people without an account has: its token is known as a hash only."""

    public_id: Mapped[str] = mapped_column(sa.String(64), unique=True, default=new_token)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    note: Mapped[str] = mapped_column(sa.String(255), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    # None: it does not end by itself.
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Share(HandedLink, Base):
    """A link by which anybody may download a file, or what is in a folder."""

    __tablename__ = "share"
    __table_args__ = NEVER_AGAIN

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(
        sa.ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("entry.id", ondelete="CASCADE"), index=True)
    password_hash: Mapped[str | None] = mapped_column(sa.String(255))
    # None: any number.
    download_limit: Mapped[int | None]
    downloads: Mapped[int] = mapped_column(default=0)

    owner: Mapped[Account] = relationship(lazy="joined", innerjoin=True)
    entry: Mapped[Entry] = relationship(lazy="joined", innerjoin=True)


class ShareDownload(Base):
    """A download that was counted: for a while its visitor may resume it, uncounted."""

    __tablename__ = "share_download"
    __table_args__ = (sa.UniqueConstraint("share_id", "entry_id", "visitor"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    share_id: Mapped[int] = mapped_column(sa.ForeignKey("share.id", ondelete="CASCADE"))
    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("entry.id", ondelete="CASCADE"), index=True)
    # Whom: a hash of what the visitor's cookie says.
    visitor: Mapped[str] = mapped_column(sa.String(64))
    counted_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)


class FileRequest(HandedLink, Base):
    """A link by which anybody may upload into a folder."""

    __tablename__ = "file_request"
    __table_args__ = NEVER_AGAIN

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(
        sa.ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    folder_id: Mapped[int] = mapped_column(
        sa.ForeignKey("entry.id", ondelete="CASCADE"), index=True
    )
    # None: as many, or as much, as the owner's quota has room for.
    file_limit: Mapped[int | None]
    size_limit: Mapped[int | None] = mapped_column(sa.BigInteger)
    files: Mapped[int] = mapped_column(default=0)
    size: Mapped[int] = mapped_column(sa.BigInteger, default=0)

    owner: Mapped[Account] = relationship(lazy="joined", innerjoin=True)
    folder: Mapped[Folder] = relationship(lazy="joined", innerjoin=True)
