"""What migrations create alike in both databases: types of columns, and what protects the record.

A database tells nobody a difference that the other one does not: SQLite ignores the length of a
text and compares by its bytes, and its numbers have 64 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
_PROTECTION = "activity_is_only_added_to"
_REFUSAL = "activity is only added to"


def text(length: int | None = None) -> sa.types.TypeEngine[Any]:
    """Return the type of a text, whose length the portal checks before it writes."""
    by_bytes = sa.Text(collation="C")  # no update of the system changes an order that indexes have
    kind = sa.Text() if length is None else sa.String(length)
    return kind.with_variant(by_bytes, "postgresql")


def create_partial_index(name: str, table: str, columns: Sequence[str], where: str) -> None:
    """Create an index of the rows that fulfil a condition."""
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def is_sqlite() -> bool:
    """Return whether the migration runs on SQLite, which alone has databases from before 0006."""
    return op.get_bind().dialect.name == "sqlite"


def note_oldest_code(revision: str, *, is_first: bool = False) -> None:
    """Note which code works with the schema from now on: whatever knows this revision.

    A migration calls it unless it only adds: tables, and columns that may be empty or have a
    default. Then hosts can be upgraded one after the other, while the others go on.
    """
    fact = sa.table("fact", sa.column("name"), sa.column("value"))
    if is_first:
        op.execute(fact.insert().values(name="oldest code", value=revision))
    else:
        op.execute(fact.update().where(fact.c.name == "oldest code").values(value=revision))


def protect_record() -> None:
    """Have the database refuse to rewrite what was done."""
    if is_sqlite():
        op.execute(
            f"CREATE TRIGGER {_PROTECTION} BEFORE UPDATE ON activity"
            f" BEGIN SELECT raise(ABORT, '{_REFUSAL}'); END"
        )
        return
    op.execute(
        f"CREATE FUNCTION {_PROTECTION}() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'integrity_constraint_violation';"
        " END $$"
    )
    op.execute(
        f"CREATE TRIGGER {_PROTECTION} BEFORE UPDATE ON activity"
        f" FOR EACH ROW EXECUTE FUNCTION {_PROTECTION}()"
    )


def unprotect_record() -> None:
    """Let a migration rewrite the record, until :func:`protect_record`."""
    if is_sqlite():
        op.execute(f"DROP TRIGGER {_PROTECTION}")
        return
    op.execute(f"DROP TRIGGER {_PROTECTION} ON activity")
    op.execute(f"DROP FUNCTION {_PROTECTION}")
