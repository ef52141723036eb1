"""The database of a backup: nothing in it is believed before it was compared with a new one."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

import sqlalchemy as sa

from portal.core import database
from portal.core.models import Base
from portal.storage.disk import is_key

from .backup import BackupError

_ANOTHER = "Somebody changed it since. Nothing was restored. Restore another backup."

_STATISTICS = {
    "sqlite_stat1": "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
    "sqlite_stat4": "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
}
"""Tables that SQLite's ``ANALYZE`` creates."""

_LENGTH = re.compile(r"VARCHAR\(([0-9]+)\)")
_DERIVED = {"name_key", "skeleton"}
"""Columns that an upgrade shortens, which earlier versions filled with more than they take."""

_WHOLE = "typeof({0}) NOT IN ('integer', 'null')"
_TEXT = "typeof({0}) NOT IN ('text', 'null')"
# SQLite takes the 31st of February for a day of March; Python refuses it.
_UNUSABLE = {
    "INTEGER": _WHOLE,
    "BIGINT": _WHOLE,
    "BOOLEAN": f"{_WHOLE} OR {{0}} NOT IN (0, 1)",
    "DATE": f"{_TEXT} OR substr({{0}}, 1, 4) = '0000' OR date({{0}}, '+0 days') IS NOT {{0}}",
    "DATETIME": _TEXT + " OR substr({0}, 1, 4) = '0000'"
    " OR datetime(substr({0}, 1, 19), '+0 days') IS NOT substr({0}, 1, 19)"
    " OR substr({0}, 20) NOT GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]'",
    "JSON": "{0} IS NOT NULL AND NOT json_valid({0})",
    "TEXT": _TEXT,
}
"""By a column's type, which rows the portal could not read."""

_CHOICES = {
    (table.name, column.name): ", ".join(map(repr, column.type.enums))
    for table in Base.metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, sa.Enum)
}

Schema = dict[tuple[str, str, str], str | None]
"""Tables, indexes and triggers: by kind, name and table, the statement that created each."""


def prepare(path: Path, keys: set[str]) -> None:
    """Check the database of a backup, delete what is not restored, and upgrade it.

    :param keys: of the files in the backup, all of which it has to name.
    :raises BackupError: if this version of the portal would not have written the database.
    :raises sqlite3.Error: if it is damaged.
    :raises sqlalchemy.exc.DBAPIError: if it cannot be upgraded.
    """
    with closing(sqlite3.connect(path)) as connection:
        # What it defines does nothing before it was compared.
        connection.execute("PRAGMA trusted_schema = OFF")
        _check_schema(connection)
        if (found := connection.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise BackupError(f"The backup's database is damaged: {found}.")
        _check_columns(connection)
        _check_keys(connection, keys)
        if row := connection.execute("PRAGMA foreign_key_check").fetchone():
            raise BackupError(
                f"A row of {row[0]} in the backup's database refers to a row that is missing from"
                f" {row[2]}. {_ANOTHER}"
            )
        with connection:
            connection.execute("DELETE FROM sign_in")
            connection.execute("DELETE FROM one_time_link")
            # Nothing that had arrived of them is in a backup.
            connection.execute("DELETE FROM upload WHERE finished_at IS NULL")
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), hide_parameters=True)
    with engine.connect() as migrated:
        database.migrate(migrated)
    engine.dispose()


def _check_schema(connection: sqlite3.Connection) -> None:
    """Raise unless the schema is what the migrations create; a trigger would change what is stored.

    Another table than theirs may be a view, and a constraint may replace rows.
    """
    found = _schema_of(connection)
    if ("table", "alembic_version", "alembic_version") not in found:
        raise BackupError("The backup's database is not one of a portal. Restore another backup.")
    versions = [version for (version,) in connection.execute("SELECT * FROM alembic_version")]
    if len(versions) != 1 or versions[0] not in database.revisions():
        raise BackupError(
            f"The backup's database says that its schema is {versions or 'none'}, and not one that"
            f" this version knows. {_ANOTHER}"
        )
    expected = _schema_at(versions[0])
    for name, sql in _STATISTICS.items():
        if found.get(key := ("table", name, name)) == sql:
            del found[key]
    for kind, name, table in sorted(found.keys() | expected.keys()):
        key = (kind, name, table)
        if key not in found:
            raise BackupError(f"The backup's database lacks the {kind} {name!r}. {_ANOTHER}")
        if key not in expected or found[key] != expected[key]:
            raise BackupError(
                f"The backup's database has the {kind} {name!r}, which no version of the portal"
                f" created like that. {_ANOTHER}"
            )


def _schema_at(revision: str) -> Schema:
    """Return the schema that the migrations create."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        database.migrate(connection, revision)
        return _schema_of(cast("sqlite3.Connection", connection.connection.driver_connection))


def _schema_of(connection: sqlite3.Connection) -> Schema:
    """Return the schema, without line breaks, which versions of the libraries may set elsewhere."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
    return {(kind, name, table): sql and " ".join(sql.split()) for kind, name, table, sql in rows}


def _check_columns(connection: sqlite3.Connection) -> None:
    """Check that each value is of its column's type, and fits, which SQLite does not."""
    columns = connection.execute(
        "SELECT tables.name, columns.name, columns.type FROM sqlite_schema AS tables"
        " JOIN pragma_table_info(tables.name) AS columns"
        " WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite%'"
    ).fetchall()
    for table, column, kind in columns:
        wrong = _unusable(table, column, kind)
        rows = f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1"  # noqa: S608  (names are the portal's)
        if connection.execute(rows).fetchone():
            raise BackupError(
                f"The backup's database has an unusable value in {table}.{column}. {_ANOTHER}"
            )


def _unusable(table: str, column: str, kind: str) -> str:
    """Return the condition for rows that the portal could not read."""
    if column in _DERIVED:
        return _TEXT.format(column)
    if choices := _CHOICES.get((table, column)):
        return f"{column} NOT IN ({choices})"
    if length := _LENGTH.fullmatch(kind):
        return (
            f"{_TEXT.format(column)} OR length({column}) > {length[1]}"
            f" OR instr(CAST({column} AS BLOB), x'00')"
        )
    return _UNUSABLE[kind].format(column)


def _check_keys(connection: sqlite3.Connection, keys: set[str]) -> None:
    """Check that the database names all files of the backup."""
    rows = connection.execute("SELECT storage_key FROM entry WHERE is_file")
    named = {key for (key,) in rows}
    if wrong := [key for key in named if not isinstance(key, str) or not is_key(key)]:
        raise BackupError(f"The backup's database has an unusable key: {wrong[0]!r}.")
    if unknown := keys - named:
        raise BackupError(f"The backup's database does not know the file {min(unknown)}.")
