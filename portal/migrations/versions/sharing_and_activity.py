"""Links for people without an account, and a record of what was done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "share",
        *_handed_link("share"),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=True),
        sa.Column("download_limit", sa.Integer(), nullable=True),
        sa.Column("downloads", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entry.id"], name="fk_share_entry_id_entry", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_share_entry_id", "share", ["entry_id"])
    op.create_index("ix_share_owner_id", "share", ["owner_id"])
    op.create_table(
        "share_download",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("share_id", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("visitor", sa.String(64), nullable=False),
        sa.Column("counted_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_share_download"),
        sa.ForeignKeyConstraint(
            ["share_id"], ["share.id"], name="fk_share_download_share_id_share", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entry.id"], name="fk_share_download_entry_id_entry", ondelete="CASCADE"
        ),
        sa.UniqueConstraint(
            "share_id", "entry_id", "visitor", name="uq_share_download_share_id_entry_id_visitor"
        ),
    )
    op.create_index("ix_share_download_entry_id", "share_download", ["entry_id"])
    op.create_table(
        "file_request",
        *_handed_link("file_request"),
        sa.Column("folder_id", sa.Integer(), nullable=False),
        sa.Column("file_limit", sa.Integer(), nullable=True),
        sa.Column("size_limit", sa.BigInteger(), nullable=True),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["folder_id"], ["entry.id"], name="fk_file_request_folder_id_entry", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_file_request_folder_id", "file_request", ["folder_id"])
    op.create_index("ix_file_request_owner_id", "file_request", ["owner_id"])
    _make_activity()


def _handed_link(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(64), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("note", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["account.id"], name=f"fk_{table}_owner_id_account", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"),
        sa.UniqueConstraint("token_hash", name=f"uq_{table}_token_hash"),
    ]


def _make_activity() -> None:
    op.create_table(
        "activity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("entry", sa.String(64), nullable=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("detail", sa.String(255), nullable=False),
        sa.Column("handoff", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_activity"),
        sa.UniqueConstraint("handoff", name="uq_activity_handoff"),
    )
    op.create_index("ix_activity_at", "activity", ["at"])
    op.create_index("ix_activity_owner_id", "activity", ["owner_id", "id"])
    op.create_index("ix_activity_entry", "activity", ["entry", "id"])
    # What was done was done: nothing in the portal may write it anew.
    op.execute(
        "CREATE TRIGGER activity_is_only_added_to BEFORE UPDATE ON activity"
        " BEGIN SELECT raise(ABORT, 'activity is only added to'); END"
    )
    op.create_table(
        "receipt",
        sa.Column("handoff", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("handoff", name="pk_receipt"),
    )
