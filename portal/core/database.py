"""The database: SQLite in the data folder, or one on a PostgreSQL server; and its schema."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Protocol, cast

import click
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect

from . import postgresql, sqlite

db = SQLAlchemy()
logger = logging.getLogger(__name__)

AWAY = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError)
"""What is raised where the database is away, locked or full; :func:`is_away` says whether it is."""

_REVISION = re.compile("[0-9]{4}")
_UNKNOWN = (
    "The database has the schema {}, which this version of the portal does not know: a newer"
    " version created it, or one from before the first release. Run that version, or restore a"
    " backup that this version can read."
)
_MIGRATIONS = Path(__file__).parents[1] / "migrations"


class _Kind(Protocol):
    """What a kind of database does its own way."""

    take_time: Callable[[sa.Connection], None]
    commit_soon: Callable[[sa.Connection, int], None]
    begin_writing: Callable[[sa.Connection], None]
    once: Callable[[sa.Engine, str], AbstractContextManager[bool]]
    migrating: Callable[[sa.Connection], AbstractContextManager[None]]
    check: Callable[[sa.Engine], None]
    explain: Callable[[sa.Engine, sa.exc.DBAPIError], str | None]
    is_full: Callable[[sa.Engine, sa.exc.DBAPIError], bool]
    is_away: Callable[[sa.exc.DBAPIError], bool]
    is_in_doubt: Callable[[sa.exc.DBAPIError], bool]


_KINDS = {"sqlite": cast("_Kind", sqlite), "postgresql": cast("_Kind", postgresql)}
_INSERTS: dict[str, Any] = {
    "sqlite": sqlite_dialect.insert,
    "postgresql": postgresql_dialect.insert,
}


def is_sqlite() -> bool:
    """Return whether the database is SQLite's, in the data folder."""
    return db.engine.dialect.name == "sqlite"


def upsert(table: Any) -> Any:
    """Return an insert that takes ``on_conflict_…``, which both databases have by that name."""
    return _INSERTS[db.engine.dialect.name](table)


def total(column: Any) -> sa.ColumnElement[int]:
    """Return the sum of a column as a whole number, which PostgreSQL's own has decimal places of.

    It is 0 where there is nothing.
    """
    return sa.cast(sa.func.coalesce(sa.func.sum(column), 0), sa.BigInteger)


def change(statement: sa.Insert | sa.Update | sa.Delete) -> int:
    """Run a statement past the objects in the session, and return how many rows it changed."""
    done = db.session.execute(statement, execution_options={"synchronize_session": False})
    return cast("sa.CursorResult[Any]", done).rowcount


def commit_change(statement: sa.Insert | sa.Update | sa.Delete) -> int:
    """Run a statement as :func:`change` does, and commit."""
    changed = change(statement)
    db.session.commit()
    return changed


def lock(model: Any, *conditions: sa.ColumnElement[bool], key_only: bool = False) -> None:
    """Keep rows from changing until the session's transaction ends, in the order of their ids.

    SQLite has one writer at a time. Elsewhere, what a transaction read may change before it writes:
    so it locks first what its decision depends on.

    :param key_only: whether it is enough that they are not deleted.
    """
    if not is_sqlite():
        rows = sa.select(model.id).where(*conditions).order_by(model.id)
        db.session.execute(rows.with_for_update(read=key_only, key_share=key_only)).all()


def take_time() -> None:
    """Have the statements of the session's transaction take long: as many rows as people have."""
    _kind().take_time(db.session.connection())


def commit_soon(connection: sa.Connection | None = None, patience: int = 0) -> None:
    """Have the next commit wait neither for the disk nor, for long, for another one's write.

    A power cut may take what was committed, and the write fails where the database is locked. That
    is for what nobody was told is done, and has no effect in a transaction that has written.

    :param connection: the one that is to commit. None: the session's.
    :param patience: milliseconds for another one's write.
    """
    _kind().commit_soon(connection or db.session.connection(), patience)


def begin_writing(connection: sa.Connection) -> None:
    """Keep others from writing, or from coming here, until the connection's transaction ends.

    :raises sqlalchemy.exc.OperationalError: if the database is locked, or cannot be written.
    """
    _kind().begin_writing(connection)


def once(job: str) -> AbstractContextManager[bool]:
    """Yield whether the job is to be done here: not while another host does it."""
    return _kind().once(db.engine, job)


def init_app(app: Flask, path: Path) -> None:
    """Set up the application with the database that a setting names, or the one in ``path``.

    :raises SettingError: if that setting is no address of a database.
    """
    url = app.config["DATABASE"]
    options = postgresql.options(url) if url else sqlite.options(app, path)
    # An error in the log does not repeat what was to be stored: names, hashes of passwords.
    # There are as many connections as threads that need one: else some of them would have to wait
    # for those that wait for a locked database, and give up later than these.
    options |= {"max_overflow": -1, "hide_parameters": True}
    app.config["SQLALCHEMY_ENGINES"] = {"default": options}
    db.init_app(app)
    # The library would start a thread and an event loop at the end of each request, for
    # asynchronous sessions. The portal opens none, and they took longer than a download's own work.
    app.teardown_appcontext_funcs = [
        _forgiving(function)
        for function in app.teardown_appcontext_funcs
        if not iscoroutinefunction(function)
    ]
    with app.app_context():
        if url:
            postgresql.set_up(db.engine, url)
        else:
            sqlite.set_up(db.engine)


def _forgiving(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Have the end of a request not fail where its connection broke: it was answered by then."""

    def close(error: Any) -> None:
        try:
            function(error)
        except AWAY:
            logger.warning("the connection to the database broke at the end of a request")

    return close


def check_server(app: Flask) -> None:
    """Check that a server can be used, if there is one, and log what has to be done first.

    :raises ServerAwayError: if it does not answer.
    :raises SettingError: if it cannot be used.
    """
    if is_sqlite():
        return
    postgresql.check_server(db.engine)
    is_command = click.get_current_context(silent=True) is not None
    if not is_command and (problem := schema_problem()):  # a command says so itself
        app.logger.error("the database that PORTAL_DATABASE names: %s", problem)


def upgrade(revision: str = "head") -> tuple[str | None, str | None]:
    """Bring the schema up to date, and return its revisions before and after, as :func:`revision`.

    :raises click.ClickException: if another version of the portal wrote the database.
    """
    with db.engine.connect() as connection:
        return migrate(connection, revision)


def migrate(connection: sa.Connection, revision: str = "head") -> tuple[str | None, str | None]:
    """Do as :func:`upgrade` does with the database of a connection."""
    with _KINDS[connection.dialect.name].migrating(connection):
        before = _revision(connection)
        if before and _fits(connection, before):
            return before, before
        if before and before not in revisions():
            raise click.ClickException(_UNKNOWN.format(before))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        after = _revision(connection)
    return before, after


def revision() -> str | None:
    """Return the revision of the schema; None for an empty database.

    Where somebody has noted several, it is all of them, which no version of the portal knows.
    """
    with db.engine.connect() as connection:
        return _revision(connection)


def schema_fits() -> bool:
    """Return whether this version works with the schema, which may be newer than that.

    :raises sqlalchemy.exc.DBAPIError: if the database does not answer.
    """
    with db.engine.connect() as connection:
        return _fits(connection, _revision(connection))


def schema_problem() -> str | None:
    """Return what is wrong with the schema, and the cure; none if it fits."""
    with db.engine.connect() as connection:
        found = _revision(connection)
        if _fits(connection, found):
            return None
    if found and found not in revisions():
        return _UNKNOWN.format(found)
    return "The database is not up to date. Run: flask --app portal portal upgrade"


def _fits(connection: sa.Connection, found: str | None) -> bool:
    """Return whether it is this version's schema, or a newer one that says that it still works."""
    newest = revisions()[0]
    if found == newest or not (found and _REVISION.fullmatch(found) and found > newest):
        return found == newest
    oldest = sa.text("SELECT value FROM fact WHERE name = 'oldest code'")
    return connection.scalar(oldest) in revisions()


@cache
def revisions() -> tuple[str, ...]:
    """Return the revisions of the schema that this version can upgrade from, newest first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(script.revision for script in scripts.walk_revisions())


def check() -> None:
    """Check that the database can be written, by trying, and is still the one of the start.

    :raises OSError: if it is not.
    :raises sqlalchemy.exc.DBAPIError: if it cannot be written, or stays locked.
    """
    _kind().check(db.engine)


def explain(error: sa.exc.DBAPIError) -> str | None:
    """Return what is wrong with the database, and the cure; none if that is not it."""
    return _kind().explain(db.engine, error)


def is_full(error: sa.exc.DBAPIError) -> bool:
    """Return whether the error means that the disk is full."""
    return _kind().is_full(db.engine, error)


def is_away(error: sa.exc.DBAPIError) -> bool:
    """Return whether the error means that the database cannot be used for a while.

    Somebody keeps it locked, or its server is stopped, starts, only reads, or has no room.
    """
    return _kind().is_away(error)


def is_in_doubt(error: BaseException) -> bool:
    """Return whether the error leaves open if what the session changed was committed.

    A server may have done so, and the connection broke before it said it.
    """
    return isinstance(error, sa.exc.DBAPIError) and _kind().is_in_doubt(error)


def _kind() -> _Kind:
    return _KINDS[db.engine.dialect.name]


def _revision(connection: sa.Connection) -> str | None:
    heads = MigrationContext.configure(connection).get_current_heads()
    return ", ".join(sorted(heads)) or None


def _config() -> Config:
    config = Config()
    # '%' is special to the parser underneath.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
