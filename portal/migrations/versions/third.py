"""How far the web server's log was read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the table. A log whose position is not known is read from its oldest file."""
    op.create_table(
        "log_position",
        sa.Column("log", sa.Text(), nullable=False, primary_key=True),
        sa.Column("position", sa.JSON(), nullable=False),
    )
