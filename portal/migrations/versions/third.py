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
