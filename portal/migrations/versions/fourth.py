"""Which thumbnails were made of pictures, and of which there is none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portal.core import schema

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "thumbnail",
        sa.Column("id", schema.NUMBER, nullable=False, primary_key=True),
        sa.Column("content_key", schema.text(64), nullable=False),
        sa.Column("own_key", schema.text(64)),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.UniqueConstraint("content_key"),
        sa.UniqueConstraint("own_key"),
    )
