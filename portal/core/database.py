"""The database: SQLite in the data folder, and its schema."""

from __future__ import annotations

import os
import sqlite3
from functools import cache
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, NamedTuple

import click
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from flask_sqlalchemy_lite import SQLAlchemy

db = SQLAlchemy()

BUSY_TIMEOUT = 10_000
"""Milliseconds that a request waits for another one's write."""
_CHECK_TIMEOUT = 2_000
_IDENTITY = "portal.database.identity"

_MIGRATIONS = Path(__file__).parents[1] / "migrations"


class Upgrade(NamedTuple):
    """What an upgrade did to the schema.

    :param before: the revision that it had; none where there was no database.
    :param after: the revision that it has.
    """

    before: str | None
    after: str | None


def init_app(app: Flask, path: Path) -> None:
    """Set the application up with the database in ``path``."""
    # SQLite gives its journal files the rights of the database, so it must not make that itself.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    app.extensions[_IDENTITY] = _identity(os.fstat(descriptor))
    os.close(descriptor)
    url = sa.URL.create("sqlite", database=str(path))
    app.config["SQLALCHEMY_ENGINES"] = {"default": url}
    db.init_app(app)
    # The library would start a thread and an event loop at the end of each request, for
    # asynchronous sessions: nobody here opens one, and they took longer than a download's own work.
    app.teardown_appcontext_funcs = [
        function for function in app.teardown_appcontext_funcs if not iscoroutinefunction(function)
    ]
    with app.app_context():
        sa.event.listen(db.engine, "connect", _set_pragmas)


class NewerSchemaError(click.ClickException):
    """The database was written by a newer version of the portal; the message says so.

    A command that ends with it prints the message alone.
    """


def upgrade(revision: str = "head") -> Upgrade:
    """Bring the schema up to date. Nothing happens where it is.

    :raises NewerSchemaError: if this version does not know it.
    """
    with db.engine.connect() as connection:
        # SQLite changes a table by making it anew, and would delete what refers to the old one.
        # This has no effect inside a transaction.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        # Two upgrades at once: the second one waits, and finds nothing left to do.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        before = _revision(connection)
        if before and not knows(before):
            raise NewerSchemaError(
                f"The database has the schema {before}, which a newer version of the portal made."
                " Run that version, or restore a backup from before it."
            )
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
            raise RuntimeError(f"the upgrade would leave references to nothing: {broken[:5]}")
        done = Upgrade(before, _revision(connection))
        connection.commit()
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    return done


def revision() -> str | None:
    """Tell the revision of the schema; none for a database that is empty."""
    with db.engine.connect() as connection:
        return _revision(connection)


def knows(revision: str) -> bool:
    """Tell whether this version has that revision of the schema, or came after it."""
    return revision in _known_revisions()


def schema_is_current() -> bool:
    """Tell whether every migration was run, and none that this version does not know.

    :raises sqlalchemy.exc.DBAPIError: if the database does not answer.
    """
    return revision() == _known_revisions()[0]


def check() -> None:
    """Prove that the database can be written, and that it is still the one at its path.

    Open connections go on working with a file that was renamed or deleted; what they write is lost.

    :raises OSError: if there is another file at its path, or none.
    :raises sqlalchemy.exc.DBAPIError: if it cannot be written, or somebody keeps it locked.
    """
    path = Path(str(db.engine.url.database))
    if _identity(path.stat()) != current_app.extensions[_IDENTITY]:
        raise FileNotFoundError(f"{path} was replaced")
    with db.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_CHECK_TIMEOUT}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.exec_driver_sql("ROLLBACK")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")


def is_full(error: sa.exc.DBAPIError) -> bool:
    """Tell whether the database could not be written for want of room on the disk."""
    return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@cache
def _known_revisions() -> tuple[str, ...]:
    """Give all revisions, the newest first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(script.revision for script in scripts.walk_revisions())


def _config() -> Config:
    config = Config()
    # '%' is special to the parser underneath.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _set_pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")  # first, the next one may wait
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()
