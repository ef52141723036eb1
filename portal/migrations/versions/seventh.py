"""Which rows are versions: content that was replaced in a file."""

from __future__ import annotations

from alembic import op

from portal.core import schema

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add what makes an entry in the trash a version of another one.

    Older code lists versions in the trash, where it can delete them, and cannot restore them.
    """
    number = "INTEGER" if schema.is_sqlite() else "BIGINT"
    op.execute(
        f"ALTER TABLE entry ADD COLUMN version_of {number}"
        " CONSTRAINT fk_entry_version_of_entry REFERENCES entry (id) ON DELETE SET NULL"
        " CONSTRAINT ck_entry_version_of"
        " CHECK (version_of IS NULL OR (is_file AND trash_id IS NOT NULL))"
    )
    is_version = "version_of IS NOT NULL"
    schema.create_partial_index("ix_entry_version_of", "entry", ["version_of"], is_version)
    owned = ("owner_id", "version_of")
    schema.create_partial_index("ix_entry_versions", "entry", owned, is_version)
    op.drop_index("ix_entry_trash", "entry")
    trash = ("owner_id", "trashed_at", "id")
    of_trash = "trash_id = id AND version_of IS NULL"
    schema.create_partial_index("ix_entry_trash", "entry", trash, of_trash)
