"""How much is on the disk for good, how far logs were read, and the days that the portal ran."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add what uploads, receipts and the clock need.

    What earlier versions received of an upload counts as far as its file goes. A log whose position
    is not known is read from its oldest file. The record tells of earlier days.
    """
    arrived = sa.Column("arrived", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("upload", arrived)
    op.execute("UPDATE upload SET arrived = size")
    op.create_table(
        "log_position",
        sa.Column("log", sa.Text(), nullable=False, primary_key=True),
        sa.Column("position", sa.JSON(), nullable=False),
    )
    # What visitors did, for the page of the folder that a link led to.
    op.add_column("activity", sa.Column("linked_entry", sa.String(64)))
    op.create_index("ix_activity_linked_entry", "activity", ["linked_entry", "id"])
    op.create_table("seen_day", sa.Column("day", sa.Date(), nullable=False, primary_key=True))
    op.execute("INSERT INTO seen_day SELECT DISTINCT date(at) FROM activity")
