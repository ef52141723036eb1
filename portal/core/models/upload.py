"""Uploads that are not finished, and what is remembered of those that were cancelled."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from . import values
from .base import Base, Bytes, EntryId, Limit, Name, OwnerId, PublicId, now, partial_index
from .entry import Folder
from .share import FileRequest


class Upload(Base):
    """An upload in pieces, which are in a file of their own until it is complete."""

    __tablename__ = "upload"
    # Each page says what the unfinished ones need; finished ones are kept for days.
    __table_args__ = (
        partial_index("ix_upload_unfinished", "owner_id", "used_at", where="finished_at IS NULL"),
        # Code that does not know the pieces can neither add to them nor finish the upload.
        sa.CheckConstraint(
            "recorded IS NULL OR (recorded = arrived AND finished_at IS NULL)",
            name="ck_upload_recorded",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[PublicId]
    # Whose files it becomes one of, whoever sends it.
    owner_id: Mapped[OwnerId]
    folder_id: Mapped[EntryId]
    # The link that a visitor sends it by, and a hash of the visitor's cookie; None for a member.
    # Both go with their folder; SQLite would write the table again to add a foreign key to it.
    request_id: Mapped[int | None] = mapped_column(index=True)
    visitor: Mapped[str | None] = mapped_column(values.Text(64, values.HASH))
    name: Mapped[Name]
    # Of the whole file.
    size: Mapped[Limit]
    # As the client wrote it: the protocol has the server repeat it.
    client_metadata: Mapped[str] = mapped_column(values.Header)
    part_key: Mapped[str] = mapped_column(values.Text(64, values.KEY), unique=True)
    # What has arrived and was written through to the disk. After a power cut, what its file has
    # beyond that may be anything.
    arrived: Mapped[Bytes] = mapped_column(default=0, server_default="0")
    # As much, if rows of its pieces in a bucket make it up.
    recorded: Mapped[int | None] = mapped_column(sa.BigInteger)
    # When a piece last arrived.
    used_at: Mapped[datetime] = mapped_column(default=now, index=True)
    # The row stays for a while: the client may have missed the answer.
    finished_at: Mapped[datetime | None]

    folder: Mapped[Folder] = relationship(lazy="joined", innerjoin=True)
    request: Mapped[FileRequest | None] = relationship(
        primaryjoin="foreign(Upload.request_id) == FileRequest.id", viewonly=True
    )


class UploadPiece(Base):
    """A piece of an unfinished upload in a bucket; all of them are what was acknowledged of it.

    Rows are written in the transaction that acknowledges their bytes, so whatever else hosts have
    put into the bucket is nobody's.
    """

    __tablename__ = "upload_piece"

    upload_id: Mapped[int] = mapped_column(
        sa.ForeignKey("upload.id", ondelete="CASCADE"), primary_key=True
    )
    start: Mapped[Bytes] = mapped_column(primary_key=True)
    size: Mapped[Bytes]
    nonce: Mapped[str] = mapped_column(values.Text(16, "[0-9a-f]{16}"))


class CancelledUpload(Base):
    """What is remembered of an upload that somebody cancelled.

    A request to create it may still be on its way, after a connection was lost, and begins nothing.
    """

    __tablename__ = "cancelled_upload"

    # A hash of whose it was to be, and of what the requests to create it say.
    digest: Mapped[str] = mapped_column(values.Text(64, values.HASH), primary_key=True)
    cancelled_at: Mapped[datetime] = mapped_column(default=now)
