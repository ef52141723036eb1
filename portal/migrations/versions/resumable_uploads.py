"""Uploads that arrive in pieces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "upload",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(64), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("folder_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("client_metadata", sa.Text(), nullable=False),
        sa.Column("part_key", sa.String(64), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_upload"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["account.id"], name="fk_upload_owner_id_account", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["folder_id"], ["entry.id"], name="fk_upload_folder_id_entry", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("public_id", name="uq_upload_public_id"),
        sa.UniqueConstraint("part_key", name="uq_upload_part_key"),
    )
    op.create_index("ix_upload_owner_id", "upload", ["owner_id"])
    op.create_index("ix_upload_folder_id", "upload", ["folder_id"])
    op.create_index("ix_upload_used_at", "upload", ["used_at"])
