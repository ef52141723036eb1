"""How much of an unfinished upload is on the disk for good, and the days that the portal ran."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add both. What earlier versions received of an upload counts as far as its file goes."""
    arrived = sa.Column("arrived", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("upload", arrived)
    op.execute("UPDATE upload SET arrived = size")
    op.create_table("seen_day", sa.Column("day", sa.Date(), nullable=False, primary_key=True))
    # The record tells of earlier days.
    op.execute("INSERT INTO seen_day SELECT DISTINCT date(at) FROM activity")
