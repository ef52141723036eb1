"""Roles, sessions, links to hand over, a second factor; folders, a trash and quotas."""

from __future__ import annotations

import secrets
from itertools import count

import sqlalchemy as sa
from alembic import op

from portal.accounts.usernames import skeleton
from portal.core.text import fold
from portal.files.names import first_free

revision = "0002"
down_revision = "0001"

# The ids of deleted rows are not given again.
NEVER_AGAIN = {"sqlite_autoincrement": True}
NOT_TRASHED = sa.text("trash_id IS NULL")
NO_PARENT = sa.text("parent_id IS NULL")


def upgrade() -> None:
    """Add to the accounts, make the new tables, and move the files into their owners' folders."""
    _extend_accounts()
    _make_sign_in_tables()
    _make_entries()
    _move_files()
    op.drop_table("stored_file")


def _extend_accounts() -> None:
    with op.batch_alter_table("account", table_kwargs=NEVER_AGAIN) as table:
        table.add_column(sa.Column("skeleton", sa.String(255), nullable=True))
        table.add_column(sa.Column("role", sa.String(16), nullable=False, server_default="MEMBER"))
        table.add_column(
            sa.Column("is_active", sa.Boolean(), nullable=False, server_default=sa.true())
        )
        table.add_column(sa.Column("quota", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("used", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("totp_secret", sa.String(64), nullable=True))
        table.add_column(sa.Column("totp_step", sa.BigInteger(), nullable=True))
        table.drop_constraint("uq_account_session_key", type_="unique")
        table.drop_column("session_key")
    connection = op.get_bind()
    update = sa.text("UPDATE account SET skeleton = :key WHERE id = :id")
    for account_id, key in _skeletons(connection).items():
        connection.execute(update, {"key": key, "id": account_id})
    with op.batch_alter_table("account", table_kwargs=NEVER_AGAIN) as table:
        table.alter_column("skeleton", existing_type=sa.String(255), nullable=False)
        table.create_unique_constraint("uq_account_skeleton", ["skeleton"])
        for column in ("role", "is_active", "used"):
            table.alter_column(column, server_default=None)


def _skeletons(connection: sa.Connection) -> dict[int, str]:
    """Give each account its skeleton, or, if it looks like an earlier one, a key that is free.

    Look-alikes that there are already keep their names; no new one gets such a name.
    """
    query = sa.text("SELECT id, name FROM account ORDER BY id")
    found = {account_id: skeleton(name) for account_id, name in connection.execute(query)}
    keys: dict[int, str] = {}
    taken = set(found.values())
    seen = set()
    for account_id, own in found.items():
        key = own
        if own in seen:
            numbers = count(account_id)
            while key in taken:
                key = f"{own} {next(numbers)}"
        seen.add(own)
        taken.add(key)
        keys[account_id] = key
    return keys


def _make_sign_in_tables() -> None:
    op.create_table(
        "sign_in",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(64), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("user_agent", sa.String(255), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_sign_in_account_id_account"
        ),
        sa.UniqueConstraint("public_id", name="uq_sign_in_public_id"),
        sa.UniqueConstraint("key_hash", name="uq_sign_in_key_hash"),
    )
    op.create_index("ix_sign_in_account_id", "sign_in", ["account_id"])
    op.create_table(
        "one_time_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(64), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_one_time_link"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_one_time_link_account_id_account"
        ),
        sa.UniqueConstraint("public_id", name="uq_one_time_link_public_id"),
        sa.UniqueConstraint("token_hash", name="uq_one_time_link_token_hash"),
    )
    op.create_index("ix_one_time_link_account_id", "one_time_link", ["account_id"])
    op.create_table(
        "recovery_code",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_code"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_recovery_code_account_id_account"
        ),
    )
    op.create_index("ix_recovery_code_account_id", "recovery_code", ["account_id"])


def _make_entries() -> None:
    op.create_table(
        "entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(64), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("is_file", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("name_key", sa.String(1024), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("trash_id", sa.Integer(), nullable=True),
        sa.Column("trashed_at", sa.DateTime(), nullable=True),
        sa.Column("mimetype", sa.String(255), nullable=True),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.Column("storage_key", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_entry"),
        sa.ForeignKeyConstraint(["owner_id"], ["account.id"], name="fk_entry_owner_id_account"),
        sa.ForeignKeyConstraint(["parent_id"], ["entry.id"], name="fk_entry_parent_id_entry"),
        sa.ForeignKeyConstraint(["trash_id"], ["entry.id"], name="fk_entry_trash_id_entry"),
        sa.UniqueConstraint("public_id", name="uq_entry_public_id"),
        sa.UniqueConstraint("storage_key", name="uq_entry_storage_key"),
        **NEVER_AGAIN,
    )
    for name, where, *columns in (
        ("uq_entry_parent_id_name_key", NOT_TRASHED, "parent_id", "name_key"),
        ("uq_entry_owner_id_root", NO_PARENT, "owner_id"),
    ):
        op.create_index(
            name, "entry", columns, unique=True, sqlite_where=where, postgresql_where=where
        )
    for order, column in (("name", "name_key"), ("size", "size"), ("time", "created_at")):
        columns = ["parent_id", "trash_id", "is_file", column, "id"]
        op.create_index(f"ix_entry_by_{order}", "entry", columns)
    op.create_index("ix_entry_owner_id_trash_id", "entry", ["owner_id", "trash_id"])
    op.create_index("ix_entry_trash_id", "entry", ["trash_id", "trashed_at"])


def _move_files() -> None:
    connection = op.get_bind()
    roots = {}
    accounts = connection.execute(sa.text("SELECT id, created_at FROM account")).all()
    for account_id, created_at in accounts:
        made = connection.execute(
            sa.text(
                "INSERT INTO entry"
                " (public_id, owner_id, is_file, name, name_key, size, created_at)"
                " VALUES (:public_id, :owner_id, 0, '', '', 0, :created_at) RETURNING id"
            ),
            {
                "public_id": secrets.token_urlsafe(24),
                "owner_id": account_id,
                "created_at": created_at,
            },
        )
        roots[account_id] = made.scalar_one()
    keys: set[tuple[int, str]] = set()
    for row in connection.execute(sa.text("SELECT * FROM stored_file ORDER BY id")).mappings():
        name, key = _free_name(row["owner_id"], row["name"], keys)
        connection.execute(
            sa.text(
                "INSERT INTO entry (public_id, owner_id, parent_id, is_file, name, name_key, size,"
                " created_at, mimetype, sha256, storage_key) VALUES (:public_id, :owner_id,"
                " :parent_id, 1, :name, :key, :size, :created_at, :mimetype, :sha256, :storage_key)"
            ),
            {**row, "parent_id": roots[row["owner_id"]], "name": name, "key": key},
        )
    connection.execute(
        sa.text(
            "UPDATE account SET used ="
            " (SELECT coalesce(sum(size), 0) FROM entry WHERE entry.owner_id = account.id)"
        )
    )


def _free_name(owner_id: int, wanted: str, taken: set[tuple[int, str]]) -> tuple[str, str]:
    """Give a name that no other in the folder is like by case, and note that it is taken."""
    name = first_free(wanted, lambda tried: (owner_id, fold(tried)) in taken)
    key = fold(name)
    taken.add((owner_id, key))
    return name, key
