"""Names of links, and by which link visitors did what is recorded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portal.core import schema

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the names. What is recorded already says nothing of a link; older code adds such rows."""
    for table, column in (("share", "name"), ("file_request", "name"), ("activity", "link_name")):
        name = sa.Column(column, schema.text(80), nullable=False, server_default=sa.text("''"))
        op.add_column(table, name)
    op.add_column("activity", sa.Column("link", schema.text(64)))
    op.create_index("ix_activity_link", "activity", ["link", "id"])
