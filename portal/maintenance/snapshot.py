"""The rows of the portal as a SQLite database, which checks read: its own, or a copy of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from portal.core import database
from portal.core.database import db, is_sqlite
from portal.core.models import Base
from portal.storage.content import current_storage

from .restore import DRAFT

_AT_ONCE = 1000
"""Rows."""


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """Yield the path of a database of SQLite with all rows, as they are at one moment.

    :param path: of the portal's own, which is yielded if it has that.
    """
    if is_sqlite():
        yield path
        return
    # Where what is left of a killed command is deleted; others cannot read it.
    with tempfile.TemporaryDirectory(prefix=DRAFT, dir=current_storage().incoming) as folder:
        copy = Path(folder) / path.name
        _copy(copy)
        yield copy


def _copy(target: Path) -> None:
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(target)), hide_parameters=True)
    at_one_moment = db.engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as copy, at_one_moment.connect() as connection:
        database.migrate(copy)
        # Rows are found wrong by the check, and references to rows that come later are right.
        copy.exec_driver_sql("PRAGMA foreign_keys = OFF")
        for table in Base.metadata.sorted_tables:
            _copy_rows(connection, copy, _as_stored(table))
        copy.commit()
    engine.dispose()


def _copy_rows(source: sa.Connection, target: sa.Connection, table: Any) -> None:
    target.execute(sa.delete(table))
    rows = source.execution_options(yield_per=_AT_ONCE).execute(sa.select(table))
    for some in rows.mappings().partitions():
        target.execute(sa.insert(table), [dict(row) for row in some])


def _as_stored(table: sa.Table) -> Any:
    """Return a table whose values need not be those that the portal would write."""
    columns = [
        sa.column(one.name, sa.String() if isinstance(one.type, sa.Enum) else one.type)
        for one in table.columns
    ]
    return sa.table(table.name, *columns)
