"""How much is on the disk for good, how far logs were read, the portal's days, facts, keys."""

from __future__ import annotations

import sqlite3
from typing import cast

import sqlalchemy as sa
from alembic import op

from portal.core import schema, text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add what uploads, receipts, the clock, searches and lists need.

    What earlier versions received of an upload counts as far as its file goes. A log whose position
    is not known is read from its oldest file. The record tells of earlier days.
    """
    arrived = sa.Column("arrived", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("upload", arrived)
    op.execute("UPDATE upload SET arrived = size")
    op.add_column("upload", sa.Column("request_id", schema.NUMBER))
    op.create_index("ix_upload_request_id", "upload", ["request_id"])
    op.add_column("upload", sa.Column("visitor", schema.text(64)))
    op.create_table(
        "log_position",
        sa.Column("log", schema.text(), nullable=False, primary_key=True),
        sa.Column("position", sa.JSON(), nullable=False),
    )
    op.create_table(
        "cancelled_upload",
        sa.Column("digest", schema.text(64), nullable=False, primary_key=True),
        sa.Column("cancelled_at", sa.DateTime(), nullable=False),
    )
    # What visitors did, for the page of the folder that a link led to.
    op.add_column("activity", sa.Column("linked_entry", schema.text(64)))
    op.create_index("ix_activity_linked_entry", "activity", ["linked_entry", "id"])
    op.create_table("seen_day", sa.Column("day", sa.Date(), nullable=False, primary_key=True))
    op.execute("INSERT INTO seen_day SELECT DISTINCT date(at) FROM activity")
    op.create_table(
        "fact",
        sa.Column("name", schema.text(64), nullable=False, primary_key=True),
        sa.Column("value", schema.text(255), nullable=False),
    )
    schema.note_oldest_code(revision, is_first=True)
    if not schema.is_sqlite():
        _add_attempts()
    _add_keys()


def _add_attempts() -> None:
    """Add counters of attempts, which lie in a file of their own beside a database of SQLite."""
    op.create_table(
        "attempt",
        sa.Column("key", schema.text(), nullable=False, primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("began_at", sa.Float(53), nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False, index=True),
    )


def _add_keys() -> None:
    """Add what names are found and sorted by."""
    for table, column in (
        *(("entry", "search_key"), ("entry", "sort_key")),
        *(("activity", "actor_key"), ("activity", "name_key")),
    ):
        key = sa.Column(column, schema.text(1024), nullable=False, server_default=sa.text("''"))
        op.add_column(table, key)
    if schema.is_sqlite():
        _compute_keys()
    for order, column in (("name", "sort_key"), ("size", "size"), ("time", "created_at")):
        op.drop_index(f"ix_entry_by_{order}", "entry")
        columns = ("parent_id", "is_file", column, "id")
        schema.create_partial_index(f"ix_entry_by_{order}", "entry", columns, "trash_id IS NULL")
    trash = ("owner_id", "trashed_at", "id")
    schema.create_partial_index("ix_entry_trash", "entry", trash, "trash_id = id")
    op.create_index("ix_entry_parent_id", "entry", ["parent_id"])
    unfinished = ("owner_id", "used_at")
    schema.create_partial_index("ix_upload_unfinished", "upload", unfinished, "finished_at IS NULL")


def _compute_keys() -> None:
    """Compute the keys of names, and shorten those that were longer than their column.

    It is computed by SQLite's calls of Python, row by row, however many there are.
    """
    connection = cast("sqlite3.Connection", op.get_bind().connection.driver_connection)
    for function in (text.fold, text.search_key, text.sort_key):
        connection.create_function(function.__name__, 1, function, deterministic=True)
    op.execute("UPDATE entry SET search_key = search_key(name), sort_key = sort_key(name)")
    schema.unprotect_record()
    op.execute("UPDATE activity SET actor_key = search_key(actor), name_key = search_key(name)")
    schema.protect_record()
    for table, column in (("entry", "name_key"), ("account", "name_key"), ("account", "skeleton")):
        too_long = f"length({column}) > {text.LONGEST_KEY}"
        op.execute(f"UPDATE {table} SET {column} = fold({column}) WHERE {too_long}")  # noqa: S608
