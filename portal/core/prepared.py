"""Statements that are compiled once: most requests are downloads, and each runs one.

What SQLAlchemy does for each takes twice as long as what SQLite does. Another database takes longer
than both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any, cast

from sqlalchemy import Select
from sqlalchemy.dialects import sqlite

from .database import db, is_sqlite

Row = tuple[Any, ...]
_ALONE: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}


class Prepared:
    """A query for one row, of columns that the driver returns as they are: numbers and texts.

    :param statement: its parameters are given with each use, but for those that have a value.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        self._statement = statement
        dialect = sqlite.dialect()
        compiled = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        binds = compiled.binds
        self._values = {name: bind.value for name, bind in binds.items() if not bind.required}
        self._parameters = [
            (name, binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]

    def one_or_none(self, given: Mapping[str, Any]) -> Row | None:
        """Return the row that is found by these parameters, or none.

        :raises sqlalchemy.exc.SQLAlchemyError: for several, or if the database cannot be read.
        """
        if not is_sqlite():
            return self._by_sqlalchemy(given)
        values = {**self._values, **given}
        wanted = [
            encode(values[name]) if encode else values[name] for name, encode in self._parameters
        ]
        try:
            rows = self._fetch_two(wanted)
        except sqlite3.Error:
            return self._by_sqlalchemy(given)  # which says what is wrong
        if len(rows) > 1:
            return self._by_sqlalchemy(given)
        return rows[0] if rows else None

    def _fetch_two(self, wanted: list[Any]) -> list[Row]:
        with closing(db.engine.raw_connection()) as connection:
            cursor = connection.cursor()
            try:
                cursor.execute(self._sql, wanted)
                return cast("list[Row]", cursor.fetchmany(2))
            finally:
                cursor.close()

    def _by_sqlalchemy(self, given: Mapping[str, Any]) -> Row | None:
        # One statement needs no transaction, whose begin and end would be asked of a server.
        options = {} if is_sqlite() else _ALONE
        with db.engine.connect().execution_options(**options) as connection:
            found = connection.execute(self._statement, given).one_or_none()
        return tuple(found) if found else None
