"""SQLite: the database in the data folder, which one host's processes share."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from flask import Flask, current_app

BUSY_TIMEOUT = 5_000
"""Milliseconds for which a request waits for another one's write."""
_CHECK_TIMEOUT = 1_000
_DURABLE = "synchronous = FULL"
"""Each commit is on the disk before anybody is told of it."""
_WAIT = f"busy_timeout = {BUSY_TIMEOUT}"
_JOURNAL = 16 * 1024**2
"""Bytes that the journal keeps on the disk, once nobody needs more: a long reader makes it grow."""
_IDENTITY = "portal.database.identity"
_IS_CHANGED = "portal.database.changed"


def options(app: Flask, path: Path) -> dict[str, Any]:
    """Return the options of an engine for the database in ``path``, and create an empty one."""
    # SQLite gives its journal files the mode of the database, so SQLite must not create that.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    app.extensions[_IDENTITY] = os.fstat(descriptor)
    os.close(descriptor)
    return {"url": sa.URL.create("sqlite", database=str(path))}


def set_up(engine: sa.Engine) -> None:
    """Have each connection wait, and write through to the disk."""
    sa.event.listen(engine, "connect", _set_pragmas)
    sa.event.listen(engine, "checkin", _set_again)


def take_time(_connection: sa.Connection) -> None:
    """Do nothing: a statement takes as long as it takes."""


def commit_soon(connection: sa.Connection, patience: int) -> None:
    """Do as :func:`portal.core.database.commit_soon`."""
    if not _has_written(connection):
        _set_for_now(connection, "synchronous = NORMAL", f"busy_timeout = {patience}")


def begin_writing(connection: sa.Connection) -> None:
    """Do as :func:`portal.core.database.begin_writing`."""
    if not _has_written(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _has_written(connection: sa.Connection) -> bool:
    driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    return driver.in_transaction


@contextmanager
def once(_engine: sa.Engine, _job: str) -> Iterator[bool]:
    """Yield that the job is to be done: there is no other host."""
    yield True


@contextmanager
def migrating(connection: sa.Connection) -> Iterator[None]:
    """Keep others from writing while a migration runs, and check references at its end.

    :raises RuntimeError: for a reference that would lead nowhere; the transaction goes on.
    """
    # SQLite changes a table by making a new one, and would delete what refers to the old one.
    # This has no effect inside a transaction.
    connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    # Of two upgrades at once, the second one waits, and then has nothing to do.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    yield
    if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
        raise RuntimeError(f"the upgrade would leave dangling references: {broken[:5]}")
    connection.commit()
    connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def check(engine: sa.Engine) -> None:
    """Do as :func:`portal.core.database.check`; also that the file is still the one at its path.

    Open connections keep writing to a file that was renamed or deleted, and that is lost.

    :raises OSError: if there is another file at its path, or none.
    """
    path = Path(str(engine.url.database))
    if not os.path.samestat(path.stat(), current_app.extensions[_IDENTITY]):
        raise FileNotFoundError(f"{path} was replaced")
    with engine.connect() as connection:
        # Nothing that has to outlast a power cut.
        _set_for_now(connection, "synchronous = NORMAL", f"busy_timeout = {_CHECK_TIMEOUT}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        # A number that is SQLite's users' own, and nobody reads here.
        connection.exec_driver_sql("PRAGMA user_version = 0")
        connection.exec_driver_sql("COMMIT")


def explain(engine: sa.Engine, error: sa.exc.DBAPIError) -> str | None:
    """Do as :func:`portal.core.database.explain`."""
    path, code = engine.url.database, _code(error)
    damaged = (
        f"is damaged: {error.orig}. Stop the portal, keep a copy of it, and restore the last backup"
        " into a new folder."
    )
    said = {
        sqlite3.SQLITE_CORRUPT: damaged,
        sqlite3.SQLITE_NOTADB: damaged,
        sqlite3.SQLITE_BUSY: "is locked by another process. Nothing was changed. Try again, or look"
        f" who holds it: fuser -v {path}",
        sqlite3.SQLITE_FULL: "cannot grow: the disk is full. Free some space.",
        sqlite3.SQLITE_READONLY: "cannot be written. Check its owner, its mode and its disk.",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened. Check its owner, its mode and its disk.",
        sqlite3.SQLITE_IOERR: "cannot be read or written: the disk fails, or is full.",
    }
    return f"The database {path} {said[code]}" if code in said else None


def is_full(engine: sa.Engine, error: sa.exc.DBAPIError) -> bool:
    """Do as :func:`portal.core.database.is_full`."""
    if _code(error) in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}:
        # What SQLite says where it has no room for a file beside the database.
        disk = os.statvfs(Path(str(engine.url.database)).parent)
        return disk.f_bavail == 0 or (disk.f_favail == 0 and disk.f_files > 0)
    return _code(error) == sqlite3.SQLITE_FULL


def is_away(error: sa.exc.DBAPIError) -> bool:
    """Return whether somebody else kept the database locked."""
    return _code(error) == sqlite3.SQLITE_BUSY


def is_in_doubt(_error: sa.exc.DBAPIError) -> bool:
    """Return that nothing is in doubt: what SQLite could not commit, it takes back."""
    return False


def _code(error: sa.exc.DBAPIError) -> int:
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF


def _set_pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    for pragma in (
        _WAIT,  # first, the next one may wait
        "journal_mode = WAL",
        f"journal_size_limit = {_JOURNAL}",
        "foreign_keys = ON",
        _DURABLE,
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _set_for_now(connection: sa.Connection, *pragmas: str) -> None:
    """Set what the connection has otherwise when it is used the next time."""
    # Each request uses one, and to set them anew each time takes longer than most statements.
    connection.info[_IS_CHANGED] = True
    for pragma in pragmas:
        connection.exec_driver_sql(f"PRAGMA {pragma}")


def _set_again(connection: sqlite3.Connection | None, record: sa.pool.ConnectionPoolEntry) -> None:
    if connection is not None and record.info.pop(_IS_CHANGED, False):  # none: it is broken
        for pragma in (_DURABLE, _WAIT):
            connection.execute(f"PRAGMA {pragma}").close()
