"""Files and folders, and uploads that are not finished."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import NEVER_AGAIN, Base, UTCDateTime, new_token, now


class Entry(Base):
    """What a folder holds: a file or another folder."""

    __tablename__ = "entry"
    __table_args__ = (
        # A name is taken once in a folder; the trash takes none.
        sa.Index(
            "uq_entry_parent_id_name_key",
            "parent_id",
            "name_key",
            unique=True,
            sqlite_where=sa.text("trash_id IS NULL"),
            postgresql_where=sa.text("trash_id IS NULL"),
        ),
        # One folder without a parent for each account.
        sa.Index(
            "uq_entry_owner_id_root",
            "owner_id",
            unique=True,
            sqlite_where=sa.text("parent_id IS NULL"),
            postgresql_where=sa.text("parent_id IS NULL"),
        ),
        # A page of a folder, in each order, without reading the folder.
        sa.Index("ix_entry_by_name", "parent_id", "trash_id", "is_file", "name_key", "id"),
        sa.Index("ix_entry_by_size", "parent_id", "trash_id", "is_file", "size", "id"),
        sa.Index("ix_entry_by_time", "parent_id", "trash_id", "is_file", "created_at", "id"),
        sa.Index("ix_entry_owner_id_trash_id", "owner_id", "trash_id"),
        sa.Index("ix_entry_trash_id", "trash_id", "trashed_at"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(64), unique=True, default=new_token)
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("entry.id"))
    is_file: Mapped[bool]
    name: Mapped[str] = mapped_column(sa.String(255))
    name_key: Mapped[str] = mapped_column(sa.String(1024))
    size: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    # What was put into the trash together has the id of the entry that it was put there with.
    trash_id: Mapped[int | None] = mapped_column(sa.ForeignKey("entry.id"))
    trashed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __mapper_args__ = {"polymorphic_on": "is_file"}  # noqa: RUF012  (SQLAlchemy's way)


class Folder(Entry):
    """A folder. The one without a parent holds all others of its account."""

    __mapper_args__ = {"polymorphic_identity": False}  # noqa: RUF012


class StoredFile(Entry):
    """A file that somebody uploaded."""

    mimetype: Mapped[str] = mapped_column(sa.String(255), nullable=True)
    sha256: Mapped[str] = mapped_column(sa.String(64), nullable=True)
    storage_key: Mapped[str] = mapped_column(sa.String(64), unique=True, nullable=True)

    __mapper_args__ = {"polymorphic_identity": True}  # noqa: RUF012


class Upload(Base):
    """An upload that arrives in pieces; how much is there of it, its file on disk tells."""

    __tablename__ = "upload"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(64), unique=True, default=new_token)
    owner_id: Mapped[int] = mapped_column(
        sa.ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    folder_id: Mapped[int] = mapped_column(
        sa.ForeignKey("entry.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(255))
    # Bytes that it will have in all.
    size: Mapped[int] = mapped_column(sa.BigInteger)
    # As the client wrote it: the protocol wants it told again.
    client_metadata: Mapped[str] = mapped_column(sa.Text)
    part_key: Mapped[str] = mapped_column(sa.String(64), unique=True)
    # When something was last added to it.
    used_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, index=True)
    # Its row stays for a while after that: the client may not have heard of it.
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    folder: Mapped[Folder] = relationship(lazy="joined", innerjoin=True)
