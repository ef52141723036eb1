"""What visitors sent by links to upload, and said of themselves; names of people invited."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portal.core import schema

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add what arrived, and what links ask for. What arrived earlier is in the record alone."""
    for asked in ("asks_name", "asks_message"):
        column: sa.Column[bool] = sa.Column(
            asked, sa.Boolean(), nullable=False, server_default=sa.false()
        )
        op.add_column("file_request", column)
    name = sa.Column("proposed_name", schema.text(64), nullable=False, server_default=sa.text("''"))
    op.add_column("one_time_link", name)
    request = sa.ForeignKey("file_request.id", ondelete="CASCADE")
    op.create_table(
        "sender",
        sa.Column("id", schema.NUMBER, nullable=False, primary_key=True),
        sa.Column("request_id", schema.NUMBER, request, nullable=False),
        sa.Column("visitor", schema.text(64), nullable=False),
        sa.Column("name", schema.text(80), nullable=False),
        sa.Column("message", schema.text(2000), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_sender_visitor", "sender", ["request_id", "visitor", "id"])
    sender = sa.ForeignKey("sender.id", ondelete="CASCADE")
    op.create_table(
        "arrival",
        sa.Column("id", schema.NUMBER, nullable=False, primary_key=True),
        sa.Column("sender_id", schema.NUMBER, sender, nullable=False, index=True),
        sa.Column("entry", schema.text(64), nullable=False),
        sa.Column("path", schema.text(1024), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", schema.text(64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False, index=True),
    )
