"""Files and folders."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, validates

from portal.core import text

from . import values
from .base import NEVER_REUSED_IDS, Base, Bytes, Moment, Name, PublicId, partial_index


class Entry(Base):
    """A file or a folder."""

    __tablename__ = "entry"
    __table_args__ = (
        # A folder has each name once; entries in the trash do not count.
        partial_index(
            *("uq_entry_parent_id_name_key", "parent_id", "name_key"),
            where="trash_id IS NULL",
            unique=True,
        ),
        # Each account has one folder without a parent.
        partial_index("uq_entry_owner_id_root", "owner_id", where="parent_id IS NULL", unique=True),
        # A page of a listing, in each order, without reading the whole folder.
        # PostgreSQL takes no order from an index with a column that has to be NULL.
        *(
            partial_index(
                *(f"ix_entry_by_{order}", "parent_id", "is_file", column, "id"),
                where="trash_id IS NULL",
            )
            for order, column in (("name", "sort_key"), ("size", "size"), ("time", "created_at"))
        ),
        # A page of the trash.
        partial_index(
            *("ix_entry_trash", "owner_id", "trashed_at", "id"),
            where="trash_id = id AND version_of IS NULL",
        ),
        # A file's versions, and what an account's take.
        partial_index("ix_entry_version_of", "version_of", where="version_of IS NOT NULL"),
        partial_index(
            "ix_entry_versions", "owner_id", "version_of", where="version_of IS NOT NULL"
        ),
        # Code that takes a version for something in the trash cannot restore it as that.
        sa.CheckConstraint(
            "version_of IS NULL OR (is_file AND trash_id IS NOT NULL)", name="ck_entry_version_of"
        ),
        # What is in the trash, too.
        sa.Index("ix_entry_parent_id", "parent_id"),
        sa.Index("ix_entry_owner_id_trash_id", "owner_id", "trash_id"),
        sa.Index("ix_entry_trash_id", "trash_id", "trashed_at"),
        NEVER_REUSED_IDS,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[PublicId]
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("entry.id"))
    is_file: Mapped[bool]
    name: Mapped[Name]
    # Of the name, by functions of portal.core.text: two of the same name, found, in order.
    name_key: Mapped[str] = mapped_column(sa.String(1024))
    search_key: Mapped[str] = mapped_column(sa.String(1024), server_default=sa.text("''"))
    sort_key: Mapped[str] = mapped_column(sa.String(1024), server_default=sa.text("''"))
    size: Mapped[Bytes] = mapped_column(default=0)
    created_at: Mapped[Moment]
    # The entry with which it was moved to the trash: itself, or a folder around it.
    trash_id: Mapped[int | None] = mapped_column(sa.ForeignKey("entry.id"))
    trashed_at: Mapped[datetime | None]
    # Content that was replaced is a row of its own, in the trash by itself since then, so that it
    # is counted, kept, moved, backed up and purged as all that is there.
    version_of: Mapped[int | None] = mapped_column(sa.ForeignKey("entry.id", ondelete="SET NULL"))

    __mapper_args__ = {"polymorphic_on": "is_file"}  # noqa: RUF012  (SQLAlchemy's way)

    @validates("name")
    def _derive_keys(self, _attribute: str, name: str) -> str:
        self.name_key, self.search_key = text.fold(name), text.search_key(name)
        self.sort_key = text.sort_key(name)
        return name


class Folder(Entry):
    """A folder. The one without a parent holds everything else of its account."""

    __mapper_args__ = {"polymorphic_identity": False}  # noqa: RUF012


class StoredFile(Entry):
    """An uploaded file."""

    mimetype: Mapped[str] = mapped_column(values.Text(255, values.MEDIA_TYPE), nullable=True)
    sha256: Mapped[str] = mapped_column(values.Text(64, values.HASH), nullable=True)
    storage_key: Mapped[str] = mapped_column(
        values.Text(64, values.KEY), unique=True, nullable=True
    )

    # Lists have files and folders, and would load these of one file after the other.
    __mapper_args__ = {"polymorphic_identity": True, "polymorphic_load": "inline"}  # noqa: RUF012
