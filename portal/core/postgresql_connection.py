"""Connections to PostgreSQL that do not wait forever: for a server that is away, or frozen.

A server that is frozen enforces no limit of its own, and its kernel still answers. So a request
stops waiting by itself, and drops the connection.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import click
import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict

from .setting_checks import SettingError

RV = TypeVar("RV")

PATIENCE = 10.0
"""Seconds that a request waits for a statement; longer than the server's own limits."""
_PING = 2.0
"""Seconds that a connection has to answer before it is used again."""
_STATEMENT = 8_000
"""Milliseconds that a request's statement may take."""
_IDLE = 60_000
"""Milliseconds that a request's transaction may do nothing."""
_LOCK = 5_000
_IS_NEW = "portal.database.new"
_CONNECTING: dict[str, Any] = {
    "connect_timeout": 3,
    # What is sent, and not acknowledged, or a connection on which nothing happens.
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "application_name": "portal",
}
_ALWAYS = {"lock_timeout": _LOCK, "default_transaction_isolation": r"read\ committed"}
_IN_REQUESTS = {
    "statement_timeout": _STATEMENT,
    "idle_in_transaction_session_timeout": _IDLE,
    # Who has stopped waiting needs no answer.
    "client_connection_check_interval": 1_000,
}


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server does not answer a request in time.

    :ivar patience: seconds to wait; none for the patience of requests, or for none of commands.
    """

    patience: float | None = None

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Wait for the server."""
        patience = self.patience or (None if is_command() else PATIENCE)
        if patience is not None:
            gen = _until(gen, time.monotonic() + patience)
        try:
            return super().wait(gen, *args, **options)
        except psycopg.Error as error:
            # The rest repeats what was to be stored, such as names, and would be logged.
            if error.diag.message_primary:
                error.args = (error.diag.message_primary,)
            raise
        except TimeoutError:
            self.close()
            raise psycopg.OperationalError(
                f"the server did not answer within {patience:g} seconds"
            ) from None

    def answers(self) -> bool:
        """Return whether the server answers soon."""
        self.patience = _PING
        try:
            with self.cursor() as cursor:
                cursor.execute("")  # which the server reads, and nothing else
            self.rollback()
        except psycopg.Error:
            return False
        finally:
            self.patience = None
        return True


def is_command() -> bool:
    """Return whether a command runs, which may take its time, and no request."""
    return click.get_current_context(silent=True) is not None


def check_url(url: str) -> None:
    """Check that libpq can read a URL; raise SettingError if it cannot."""
    try:
        conninfo_to_dict(url)
    except psycopg.Error as error:
        # It may repeat a part of the URL, but no password: settings with one are refused before.
        reason = " ".join(str(error).split())
        raise SettingError(f"PORTAL_DATABASE is no address of a database: {reason}.") from None


def listen(engine: sa.Engine, url: str) -> None:
    """Have an engine connect so."""

    def connect(_dialect: Any, _record: Any, _args: Any, given: dict[str, Any]) -> Any:
        return BoundedConnection.connect(url, context=given.get("context"), **_parameters(url))

    sa.event.listen(engine, "do_connect", connect)
    sa.event.listen(engine, "connect", _note_new)
    sa.event.listen(engine, "checkout", _check_out)
    sa.event.listen(engine, "commit", _commit_soon)
    sa.event.listen(engine, "handle_error", _note_commit)
    sa.event.listen(engine, "checkin", _be_impatient_again)


def _parameters(url: str) -> dict[str, Any]:
    """Return the parameters beside those of the URL, which keeps its own."""
    given = conninfo_to_dict(url)
    limits = _ALWAYS if is_command() else _ALWAYS | _IN_REQUESTS
    options = [f"-c {name}={value}" for name, value in limits.items()]
    return {
        **_CONNECTING,
        **{name: value for name, value in given.items() if name in _CONNECTING},
        "client_encoding": "UTF8",
        "options": " ".join([*options, str(given.get("options") or "")]).strip(),
    }


def _note_new(_connection: Any, record: sa.pool.ConnectionPoolEntry) -> None:
    record.info[_IS_NEW] = True


def _check_out(
    connection: BoundedConnection, record: sa.pool.ConnectionPoolEntry, _proxy: Any
) -> None:
    """Check a connection that was used before: the server may have been away since."""
    if not record.info.pop(_IS_NEW, False) and not connection.answers():
        # With it go all that are as old.
        raise sa.exc.InvalidatePoolError


def _commit_soon(connection: sa.Connection) -> None:
    """Have a commit wait no longer than others do, also of statements that took their time."""
    driver: Any = connection.connection.dbapi_connection
    driver.patience = None


def _note_commit(context: sa.engine.ExceptionContext) -> None:
    """Note on an error that it came of a commit: of neither a statement nor of connecting."""
    if error := context.sqlalchemy_exception:
        is_commit = context.connection is not None and context.statement is None
        error.is_of_a_commit = is_commit  # type: ignore[attr-defined]


def _be_impatient_again(connection: BoundedConnection | None, _record: Any) -> None:
    if connection is not None:  # none: it is broken
        connection.patience = None


def _until(gen: Generator[Any, Any, RV], end: float) -> Generator[Any, Any, RV]:
    """Wait as a generator of psycopg does; raise :exc:`TimeoutError` after the end."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                wanted = gen.send(ready)
            elif time.monotonic() > end:  # nothing came for some tenths of a second
                raise TimeoutError
    except StopIteration as done:
        value: RV = done.value
        return value
