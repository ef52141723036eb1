"""Checking the values in a database, which SQLite leaves to whoever writes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy as sa

from portal.core.models import Base
from portal.core.models.values import MOST, checker

_ENTRIES = {
    "name": "(name = '') != (parent_id IS NULL)",
    "parent_id": "parent_id IS NULL AND (is_file OR trash_id IS NOT NULL)",
    "size": "NOT is_file AND size != 0",
    **{
        column: f"is_file != ({column} IS NOT NULL)"
        for column in ("mimetype", "sha256", "storage_key")
    },
}
"""By column, the condition for values that fit it but not the file or folder that has them."""


class Unusable(NamedTuple):
    """A value that the portal would not have written, and the row that has it."""

    table: str
    column: str
    row: int
    value: object

    def __str__(self) -> str:
        return f"{self.table}.{self.column}, row {self.row}"


def unusable(connection: sqlite3.Connection) -> Iterator[Unusable]:
    """Yield the unusable values in a database, which may have fewer columns than the models."""
    # What is not UTF-8 becomes halves of surrogate pairs, which no column takes.
    connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
    for table in Base.metadata.sorted_tables:
        yield from _in_columns(connection, table)
    for column, condition in _ENTRIES.items():
        query = f"SELECT id, {column} FROM entry WHERE {condition}"  # noqa: S608
        for row, value in connection.execute(query):
            yield Unusable("entry", column, row, value)
    for summed in ("entry", "upload"):
        total = connection.execute(f"SELECT total(size) FROM {summed}").fetchone()[0]  # noqa: S608
        if total > MOST:
            yield Unusable(summed, "size", 0, total)


def _in_columns(connection: sqlite3.Connection, table: sa.Table) -> Iterator[Unusable]:
    found = connection.execute("SELECT name FROM pragma_table_info(?)", [table.name])
    present = {name for (name,) in found}
    checked = [(one.name, checker(one)) for one in table.columns if one.name in present]
    if not checked:
        return
    names = ", ".join(name for name, _ in checked)
    for row, *values in connection.execute(f"SELECT rowid, {names} FROM {table.name}"):  # noqa: S608
        for (name, takes), value in zip(checked, values, strict=True):
            if not takes(value):
                yield Unusable(table.name, name, row, value)
