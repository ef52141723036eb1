"""The tables of the first release."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import sqlalchemy as sa
from alembic import op

from portal.core import schema

# What came before it, 0001 to 0004, was never released.
revision = "0005"
down_revision = None

# The naming convention of the models names the constraints and indexes.
required = partial(sa.Column, nullable=False)
optional = sa.Column


def upgrade() -> None:
    """Create the tables."""
    _create_accounts()
    _create_entries()
    _create_links()
    _create_activity()


def _create_accounts() -> None:
    op.create_table(
        "account",
        _id(),
        required("name", schema.text(64)),
        required("name_key", schema.text(255), unique=True),
        required("skeleton", schema.text(255), unique=True),
        required("password_hash", schema.text(255)),
        required("role", schema.text(16)),
        required("is_active", sa.Boolean()),
        optional("quota", sa.BigInteger()),
        required("used", sa.BigInteger()),
        optional("totp_secret", schema.text(64)),
        optional("totp_step", sa.BigInteger()),
        required("created_at", sa.DateTime()),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sign_in",
        _id(),
        _public_id(),
        required("key_hash", schema.text(64), unique=True),
        required("account_id", schema.NUMBER, sa.ForeignKey("account.id"), index=True),
        required("user_agent", schema.text(255)),
        required("address", schema.text(64)),
        required("created_at", sa.DateTime()),
        required("used_at", sa.DateTime()),
    )
    op.create_table(
        "one_time_link",
        _id(),
        _public_id(),
        required("token_hash", schema.text(64), unique=True),
        optional("account_id", schema.NUMBER, sa.ForeignKey("account.id"), index=True),
        required("role", schema.text(16)),
        optional("quota", sa.BigInteger()),
        required("note", schema.text(255)),
        required("created_at", sa.DateTime()),
        required("expires_at", sa.DateTime()),
    )
    op.create_table(
        "recovery_code",
        _id(),
        required("account_id", schema.NUMBER, sa.ForeignKey("account.id"), index=True),
        required("code_hash", schema.text(64)),
    )


def _create_entries() -> None:
    op.create_table(
        "entry",
        _id(),
        _public_id(),
        required("owner_id", schema.NUMBER, sa.ForeignKey("account.id")),
        optional("parent_id", schema.NUMBER, sa.ForeignKey("entry.id")),
        required("is_file", sa.Boolean()),
        required("name", schema.text(255)),
        required("name_key", schema.text(1024)),
        required("size", sa.BigInteger()),
        required("created_at", sa.DateTime()),
        optional("trash_id", schema.NUMBER, sa.ForeignKey("entry.id")),
        optional("trashed_at", sa.DateTime()),
        optional("mimetype", schema.text(255)),
        optional("sha256", schema.text(64)),
        optional("storage_key", schema.text(64), unique=True),
        sqlite_autoincrement=True,
    )
    for name, condition, *columns in (
        ("uq_entry_parent_id_name_key", "trash_id IS NULL", "parent_id", "name_key"),
        ("uq_entry_owner_id_root", "parent_id IS NULL", "owner_id"),
    ):
        where = sa.text(condition)
        op.create_index(
            name, "entry", columns, unique=True, sqlite_where=where, postgresql_where=where
        )
    for order, column in (("name", "name_key"), ("size", "size"), ("time", "created_at")):
        columns = ["parent_id", "trash_id", "is_file", column, "id"]
        op.create_index(f"ix_entry_by_{order}", "entry", columns)
    op.create_index("ix_entry_owner_id_trash_id", "entry", ["owner_id", "trash_id"])
    op.create_index("ix_entry_trash_id", "entry", ["trash_id", "trashed_at"])
    op.create_table(
        "upload",
        _id(),
        _public_id(),
        _reference("owner_id", "account.id"),
        _reference("folder_id", "entry.id"),
        required("name", schema.text(255)),
        required("size", sa.BigInteger()),
        required("client_metadata", schema.text()),
        required("part_key", schema.text(64), unique=True),
        required("used_at", sa.DateTime(), index=True),
        optional("finished_at", sa.DateTime()),
    )


def _create_links() -> None:
    op.create_table(
        "share",
        *_link(),
        _reference("entry_id", "entry.id"),
        optional("password_hash", schema.text(255)),
        optional("download_limit", schema.NUMBER),
        required("downloads", schema.NUMBER),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "share_download",
        _id(),
        _reference("share_id", "share.id", index=False),  # the first column of the constraint
        _reference("entry_id", "entry.id"),
        required("visitor", schema.text(64)),
        required("counted_at", sa.DateTime()),
        sa.UniqueConstraint("share_id", "entry_id", "visitor"),
    )
    op.create_table(
        "file_request",
        *_link(),
        _reference("folder_id", "entry.id"),
        optional("file_limit", schema.NUMBER),
        optional("size_limit", sa.BigInteger()),
        required("files", schema.NUMBER),
        required("size", sa.BigInteger()),
        sqlite_autoincrement=True,
    )


def _create_activity() -> None:
    op.create_table(
        "activity",
        _id(),
        required("at", sa.DateTime(), index=True),
        required("action", schema.text(32)),
        required("actor", schema.text(64)),
        required("address", schema.text(64)),
        optional("owner_id", schema.NUMBER),
        optional("entry", schema.text(64)),
        required("name", schema.text(255)),
        required("detail", schema.text(255)),
        optional("handoff", schema.text(16), unique=True),
    )
    op.create_index("ix_activity_owner_id", "activity", ["owner_id", "id"])
    op.create_index("ix_activity_entry", "activity", ["entry", "id"])
    # Nothing in the portal may rewrite what was done.
    schema.protect_record()
    op.create_table(
        "receipt",
        required("handoff", schema.text(16), primary_key=True),
        required("outcome", schema.text(16)),
        required("status", schema.NUMBER),
        required("sent", sa.BigInteger()),
        required("start", sa.BigInteger()),
        optional("total", sa.BigInteger()),
        required("at", sa.DateTime()),
    )


def _id() -> sa.Column[int]:
    return sa.Column("id", schema.NUMBER, primary_key=True)


def _public_id() -> sa.Column[str]:
    return required("public_id", schema.text(64), unique=True)


def _reference(name: str, target: str, *, index: bool = True) -> sa.Column[Any]:
    return required(name, schema.NUMBER, sa.ForeignKey(target, ondelete="CASCADE"), index=index)


def _link() -> Iterator[sa.Column[Any]]:
    yield _id()
    yield _reference("owner_id", "account.id")
    yield _public_id()
    yield required("token_hash", schema.text(64), unique=True)
    yield required("note", schema.text(255))
    yield required("created_at", sa.DateTime())
    yield optional("expires_at", sa.DateTime())
    yield optional("revoked_at", sa.DateTime())
