"""Of which pieces in a bucket an unfinished upload consists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portal.core import schema

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add what makes up an upload; what older code has listed in the bucket counts, too.

    Older code does not see these pieces, and might take others for acknowledged. It may neither add
    to an upload that has some nor finish it: the database refuses that.
    """
    if schema.is_sqlite():
        _complete_second()
    op.execute(
        "ALTER TABLE upload ADD COLUMN recorded BIGINT CONSTRAINT ck_upload_recorded"
        " CHECK (recorded IS NULL OR (recorded = arrived AND finished_at IS NULL))"
    )
    upload = sa.ForeignKey("upload.id", ondelete="CASCADE")
    op.create_table(
        "upload_piece",
        sa.Column("upload_id", schema.NUMBER, upload, nullable=False, primary_key=True),
        sa.Column("start", sa.BigInteger(), nullable=False, primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("nonce", schema.text(16), nullable=False),
    )


def _complete_second() -> None:
    """Add what 0006 was given while data folders had that revision already."""
    create = "CREATE INDEX {} ON {} ({}) WHERE {}"
    here = "trash_id IS NULL"
    for name, table, columns, condition in (
        ("ix_entry_by_name", "entry", "parent_id, is_file, sort_key, id", here),
        ("ix_entry_by_size", "entry", "parent_id, is_file, size, id", here),
        ("ix_entry_by_time", "entry", "parent_id, is_file, created_at, id", here),
        ("ix_entry_trash", "entry", "owner_id, trashed_at, id", "trash_id = id"),
        ("ix_upload_unfinished", "upload", "owner_id, used_at", "finished_at IS NULL"),
    ):
        op.execute(f"DROP INDEX IF EXISTS {name}")
        op.execute(create.format(name, table, columns, condition))
    op.execute("CREATE INDEX IF NOT EXISTS ix_entry_parent_id ON entry (parent_id)")
    op.execute(
        "CREATE TABLE IF NOT EXISTS fact (name VARCHAR(64) NOT NULL, value VARCHAR(255) NOT NULL,"
        " CONSTRAINT pk_fact PRIMARY KEY (name))"
    )
    op.execute("INSERT OR IGNORE INTO fact (name, value) VALUES ('oldest code', '0006')")
