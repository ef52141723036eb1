"""The database of a backup: its rows are copied into a new one, and nothing else of it is used.

So the restored database has the portal's own tables, indexes, constraints and triggers, which apply
to the rows, also where SQLite does not tell a difference: in a check, a collation, a conflict.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from portal.core import database
from portal.core.datafolder import create_private
from portal.core.models.values import MOST

from . import restored_schema
from .backup import BackupError
from .check_rows import compute_keys, contradictions
from .check_values import unusable

_ANOTHER = "Somebody changed it since. Nothing was restored. Restore another backup."

_SHORTENED = {"name_key", "skeleton"}
"""Columns that an upgrade shortens, which earlier versions filled with more than they take."""
_LONGEST_BEFORE = 18 * 255
"""Characters: of each that a name has, compatible ones can be 18."""


def prepare(path: Path) -> None:
    """Put a new database in place of a backup's, with its rows but what is not restored.

    :raises BackupError: if this version of the portal would not have written the database.
    :raises sqlite3.Error: if it is damaged.
    :raises sqlalchemy.exc.DBAPIError: if it cannot be upgraded.
    """
    new = path.with_name("new.db")
    create_private(new).close()
    with closing(sqlite3.connect(_address(path), uri=True)) as backup:
        # What it defines does nothing before it was compared.
        backup.execute("PRAGMA trusted_schema = OFF")
        _migrate(new, revision := _revision(backup))
        _check_schema(backup, new)
        if (found := backup.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise BackupError(f"The backup's database is damaged: {found}.")
    with closing(sqlite3.connect(_address(new, "rw"), uri=True)) as connection:
        _copy(connection, path)
        _check_values(connection, is_current=revision == database.revisions()[0])
    if revision != database.revisions()[0]:
        _migrate(new, "head")
        with closing(sqlite3.connect(new)) as connection:
            _check_values(connection, is_current=True)
    with closing(sqlite3.connect(new)) as connection, connection:
        _check_rows(connection)
    new.replace(path)


def _address(path: Path, mode: str = "ro") -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"


def _migrate(path: Path, revision: str) -> None:
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), hide_parameters=True)
    with engine.connect() as connection:
        database.migrate(connection, revision)
    engine.dispose()


def _revision(connection: sqlite3.Connection) -> str:
    """Return the revision of the schema, or raise unless this version knows it."""
    if ("table", "alembic_version") not in restored_schema.read(connection):
        raise BackupError("The backup's database is not one of a portal. Restore another backup.")
    versions = [version for (version,) in connection.execute("SELECT * FROM alembic_version")]
    if len(versions) != 1 or versions[0] not in database.revisions():
        raise BackupError(
            f"The backup's database says that its schema is {versions or 'none'}, and not one that"
            f" this version knows. {_ANOTHER}"
        )
    return str(versions[0])


def _check_schema(connection: sqlite3.Connection, new: Path) -> None:
    """Raise unless the schema is what the migrations created in a new database."""
    found = restored_schema.read(connection)
    with closing(sqlite3.connect(new)) as created:
        expected = restored_schema.read(created)
    for kind, name in sorted(found.keys() | expected.keys()):
        key = (kind, name)
        if key not in found:
            raise BackupError(f"The backup's database lacks the {kind} {name!r}. {_ANOTHER}")
        if key not in expected or found[key] != expected[key]:
            raise BackupError(
                f"The backup's database has the {kind} {name!r}, which no version of the portal"
                f" created like that. {_ANOTHER}"
            )


def _copy(connection: sqlite3.Connection, backup: Path) -> None:
    """Copy the rows, but sessions, one-time links and uploads that were not finished.

    The new database has facts of its own.

    Some of the former may have ended or been used since; of the latter, as of thumbnails, a backup
    has no content.
    """
    # A copy that ends halfway is not used.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("ATTACH ? AS backup", [_address(backup)])
    connection.execute("PRAGMA trusted_schema = OFF")
    tables = connection.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
        r" AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"
        " AND name NOT IN ('alembic_version', 'fact', 'sign_in', 'one_time_link', 'thumbnail',"
        " 'upload_piece')"
    ).fetchall()
    with _rules_kept(), connection:
        for (table,) in tables:
            columns = connection.execute("SELECT name FROM pragma_table_info(?)", [table])
            names = ", ".join(name for (name,) in columns)
            unfinished = " WHERE finished_at IS NOT NULL" if table == "upload" else ""
            connection.execute(
                f"INSERT INTO main.{table} ({names})"  # noqa: S608  (the portal's own names)
                f" SELECT {names} FROM backup.{table}{unfinished}"
            )
        _copy_sequences(connection)
    connection.execute("DETACH backup")


def _copy_sequences(connection: sqlite3.Connection) -> None:
    """Go on counting the ids that are never reused where the backup stopped."""
    for table, last in connection.execute(
        "SELECT name, seq FROM backup.sqlite_sequence"
    ).fetchall():
        if type(last) is not int or not 0 <= last <= MOST:
            raise BackupError(f"The backup's database has an unusable last id of {table}.")
        sequence = "UPDATE main.sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
        if not connection.execute(sequence, [last, table]).rowcount:
            connection.execute("INSERT INTO main.sqlite_sequence VALUES (?, ?)", [table, last])


def _check_values(connection: sqlite3.Connection, *, is_current: bool) -> None:
    """Check that the portal can use each value, and that each reference leads to a row."""
    for found in unusable(connection):
        is_shortened = found.column in _SHORTENED and not is_current
        value = found.value
        if not (is_shortened and isinstance(value, str) and len(value) <= _LONGEST_BEFORE):
            raise BackupError(f"The backup's database has an unusable value in {found}. {_ANOTHER}")
    if row := connection.execute("PRAGMA foreign_key_check").fetchone():
        raise BackupError(
            f"A row of {row[0]} in the backup's database refers to a row that is missing from"
            f" {row[2]}. {_ANOTHER}"
        )


def _check_rows(connection: sqlite3.Connection) -> None:
    """Check that no row contradicts another, and compute keys as this version does."""
    strange_keys = []
    for found in contradictions(connection):
        if found.rule.kind != "key":
            raise BackupError(f"The backup's database contradicts itself: {found}. {_ANOTHER}")
        strange_keys.append(found)
    if strange_keys:
        with _rewritable(connection), _rules_kept():
            for found in strange_keys:
                compute_keys(connection, found)


@contextmanager
def _rewritable(connection: sqlite3.Connection) -> Iterator[None]:
    """Take away the triggers for the length of the block: one keeps the record from changes."""
    query = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
    triggers = connection.execute(query).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    yield
    for _, sql in triggers:
        connection.execute(sql)


@contextmanager
def _rules_kept() -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise BackupError(f"The backup's database breaks a rule: {error}. {_ANOTHER}") from error
