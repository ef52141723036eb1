"""The database: SQLite in the data folder, and its schema."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from functools import cache
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, cast

import click
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from flask_sqlalchemy_lite import SQLAlchemy

db = SQLAlchemy()

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

_MIGRATIONS = Path(__file__).parents[1] / "migrations"


def change(statement: sa.Insert | sa.Update | sa.Delete) -> int:
    """Run a statement past the objects in the session, and return how many rows it changed."""
    done = db.session.execute(statement, execution_options={"synchronize_session": False})
    return cast("sa.CursorResult[Any]", done).rowcount


def commit_change(statement: sa.Insert | sa.Update | sa.Delete) -> int:
    """Run a statement as :func:`change` does, and commit."""
    changed = change(statement)
    db.session.commit()
    return changed


def commit_soon(connection: sa.Connection | None = None, patience: int = 0) -> None:
    """Have the next commit wait neither for the disk nor, for long, for another one's write.

    A power cut may take what was committed, and the write fails where the database is locked. That
    is for what nobody was told is done, and has no effect in a transaction that has written.

    :param connection: the one that is to commit. None: the session's.
    :param patience: milliseconds for another one's write.
    """
    connection = connection or db.session.connection()
    if not _has_written(connection):
        _set_for_now(connection, "synchronous = NORMAL", f"busy_timeout = {patience}")


def commit_with_next() -> None:
    """Have the session's next commit not wait for the disk: the one after it does, for both.

    Or :func:`sync` does; in a transaction that has written, this has no effect.
    """
    connection = db.session.connection()
    if not _has_written(connection):
        _set_for_now(connection, "synchronous = NORMAL")


def begin_writing(connection: sa.Connection) -> None:
    """Keep others from writing until the connection's transaction ends.

    :raises sqlalchemy.exc.OperationalError: if the database is locked, or cannot be written.
    """
    if not _has_written(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _has_written(connection: sa.Connection) -> bool:
    driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    return driver.in_transaction


def sync() -> None:
    """Write through to the disk what was committed without waiting for it; that needs no room."""
    with suppress(FileNotFoundError):  # all of the journal is in the database, and on the disk
        descriptor = os.open(f"{db.engine.url.database}-wal", os.O_RDONLY)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


def init_app(app: Flask, path: Path) -> None:
    """Set up the application with the database in ``path``."""
    # SQLite gives its journal files the mode of the database, so SQLite must not create that.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    app.extensions[_IDENTITY] = os.fstat(descriptor)
    os.close(descriptor)
    url = sa.URL.create("sqlite", database=str(path))
    # An error in the log does not repeat what was to be stored: names, hashes of passwords.
    # There are as many connections as threads that need one: else some of them would have to wait
    # for those that wait for a locked database, and give up later than these.
    options = {"url": url, "max_overflow": -1, "hide_parameters": True}
    app.config["SQLALCHEMY_ENGINES"] = {"default": options}
    db.init_app(app)
    # The library would start a thread and an event loop at the end of each request, for
    # asynchronous sessions. The portal opens none, and they took longer than a download's own work.
    app.teardown_appcontext_funcs = [
        function for function in app.teardown_appcontext_funcs if not iscoroutinefunction(function)
    ]
    with app.app_context():
        sa.event.listen(db.engine, "connect", _set_pragmas)
        sa.event.listen(db.engine, "checkin", _set_again)


def upgrade(revision: str = "head") -> tuple[str | None, str | None]:
    """Bring the schema up to date, and return its revisions before and after, as :func:`revision`.

    :raises click.ClickException: if another version of the portal wrote the database.
    """
    with db.engine.connect() as connection:
        return migrate(connection, revision)


def migrate(connection: sa.Connection, revision: str = "head") -> tuple[str | None, str | None]:
    """Do as :func:`upgrade` does with the database of a connection."""
    # SQLite changes a table by making a new one, and would delete what refers to the old one.
    # This has no effect inside a transaction.
    connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    # Of two upgrades at once, the second one waits, and then has nothing to do.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    before = _revision(connection)
    if before and before not in revisions():
        raise click.ClickException(
            f"The database has the schema {before}, which this version of the portal does not"
            " know: a newer version created it, or one from before the first release."
            " Run that version, or restore a backup that this version can read."
        )
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
        raise RuntimeError(f"the upgrade would leave dangling references: {broken[:5]}")
    after = _revision(connection)
    connection.commit()
    connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    return before, after


def revision() -> str | None:
    """Return the revision of the schema; None for an empty database.

    Where somebody has noted several, it is all of them, which no version of the portal knows.
    """
    with db.engine.connect() as connection:
        return _revision(connection)


def schema_is_current() -> bool:
    """Return whether the schema is current; raise DBAPIError if the database does not answer."""
    return revision() == revisions()[0]


@cache
def revisions() -> tuple[str, ...]:
    """Return the revisions of the schema that this version can upgrade from, newest first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(script.revision for script in scripts.walk_revisions())


def check() -> None:
    """Check that the database can be written, by trying, and is still the one at its path.

    Open connections keep writing to a file that was renamed or deleted, and that is lost.

    :raises OSError: if there is another file at its path, or none.
    :raises sqlalchemy.exc.DBAPIError: if it cannot be written, or stays locked.
    """
    path = Path(str(db.engine.url.database))
    if not os.path.samestat(path.stat(), current_app.extensions[_IDENTITY]):
        raise FileNotFoundError(f"{path} was replaced")
    with db.engine.connect() as connection:
        # Nothing that has to outlast a power cut.
        _set_for_now(connection, "synchronous = NORMAL", f"busy_timeout = {_CHECK_TIMEOUT}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        # A number that is SQLite's users' own, and nobody reads here.
        connection.exec_driver_sql("PRAGMA user_version = 0")
        connection.exec_driver_sql("COMMIT")


def explain(error: sa.exc.DBAPIError) -> str | None:
    """Return what is wrong with the database's file, and the cure; none if that is not it."""
    path, code = db.engine.url.database, _code(error)
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


def is_full(error: sa.exc.DBAPIError) -> bool:
    """Return whether the error means that the disk is full."""
    if _code(error) in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}:
        # What SQLite says where it has no room for a file beside the database.
        disk = os.statvfs(Path(str(db.engine.url.database)).parent)
        return disk.f_bavail == 0 or (disk.f_favail == 0 and disk.f_files > 0)
    return _code(error) == sqlite3.SQLITE_FULL


def is_locked(error: sa.exc.DBAPIError) -> bool:
    """Return whether the error means that somebody else kept the database locked."""
    return _code(error) == sqlite3.SQLITE_BUSY


def _code(error: sa.exc.DBAPIError) -> int:
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF


def _revision(connection: sa.Connection) -> str | None:
    heads = MigrationContext.configure(connection).get_current_heads()
    return ", ".join(sorted(heads)) or None


def _config() -> Config:
    config = Config()
    # '%' is special to the parser underneath.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


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
