"""How much of an unfinished upload is on the disk for good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column. What earlier versions received counts as far as its file goes."""
    op.add_column(
        "upload", sa.Column("arrived", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.execute("UPDATE upload SET arrived = size")
