"""PostgreSQL: a database on a server, which several hosts can share. It needs psycopg 3."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from .setting_checks import SettingError

if TYPE_CHECKING:
    import psycopg

OLDEST = 14
"""The oldest version of the server."""
LONGEST = 600
"""Seconds that a request's statement may take, where it is known to take long."""
LOCK_TIMEOUT = 5_000
"""Milliseconds for which a request waits for another one's write."""
_LOCKS = 0x706F7274
"""Advisory locks of the portal are numbers of this class."""
_JOBS = ("upgrade", "record", "cleanup")
_DISK_FULL = "53100"
_AWAY = (
    # By the beginnings of SQLSTATE. Of these classes, nothing says that a statement was wrong.
    "08",  # the connection broke
    "25006",  # a standby, or a server that only reads for a while
    "25P03",  # a transaction that did nothing for too long
    "40",  # a deadlock: one of two has to begin anew
    "53",  # no room, no memory, no connections
    "55P03",  # a row stayed locked
    "57",  # stopped, starting, or the time was up
    "58",  # its disk
)
_ENCODING = "UTF8"
# While a connection is made, the driver has no code for what went wrong.
_REFUSED = "FATAL: "
_FOR_A_WHILE = ("starting up", "shutting down", "recovery", "too many", "connection slots")

logger = logging.getLogger(__name__)


def options(url: str) -> dict[str, Any]:
    """Return the options of an engine for the database that a URL names.

    :raises SettingError: if psycopg is missing, or the URL cannot be used.
    """
    if not find_spec("psycopg"):
        raise SettingError(
            "PORTAL_DATABASE names a PostgreSQL server, and the driver psycopg is not installed."
            ' Install it into the same environment: pip install "psycopg[binary]>=3.2"'
        )
    from . import postgresql_connection

    postgresql_connection.check_url(url)
    # A thread's connection is kept for the next request: to open one takes longer than a page.
    # The one that was used last comes first, so that others can be closed by the server.
    return {
        "url": sa.URL.create("postgresql+psycopg"),
        "isolation_level": "READ COMMITTED",
        "pool_size": 0,
        "pool_use_lifo": True,
        "use_native_hstore": False,  # which would be asked for at each start
    }


def set_up(engine: sa.Engine, url: str) -> None:
    """Have the engine connect to a URL, by connections that do not wait forever."""
    from . import postgresql_connection

    postgresql_connection.listen(engine, url)


class ServerAwayError(SettingError):
    """The server does not answer, or not yet."""


def check_server(engine: sa.Engine) -> None:
    """Check that the server can be used.

    :raises ServerAwayError: if it does not answer, with the cure.
    :raises SettingError: if it answers that it cannot, with the cure.
    """
    try:
        with engine.connect() as connection:
            _check_server(connection.connection.dbapi_connection)  # type: ignore[arg-type]
    except sa.exc.DBAPIError as error:
        reason = reason_of(error)
        is_refused = _REFUSED in reason and not any(one in reason for one in _FOR_A_WHILE)
        raise (SettingError if is_refused else ServerAwayError)(
            f"PORTAL_DATABASE names a server that cannot be used: {reason}. Start it, or"
            " correct the address, the name of the database, the user or its password file."
        ) from None


def _check_server(connection: psycopg.Connection) -> None:
    info = connection.info
    if info.server_version < OLDEST * 10_000:
        raise SettingError(
            f"PORTAL_DATABASE names a server of version {info.server_version // 10_000}. Use"
            f" PostgreSQL {OLDEST} or newer."
        )
    if (encoding := info.parameter_status("server_encoding")) != _ENCODING:
        raise SettingError(
            f"PORTAL_DATABASE names a database with the encoding {encoding}, and names of files"
            f" need {_ENCODING}. Create another one: createdb --encoding={_ENCODING}"
            " --template=template0 NAME"
        )
    if connection.execute("SELECT current_schema()").fetchone() == (None,):
        raise SettingError(
            "PORTAL_DATABASE names a database in which the user has no schema: none of its"
            " search_path exists. Create one as its administrator: CREATE SCHEMA portal"
            " AUTHORIZATION portal"
        )


def reason_of(error: sa.exc.DBAPIError) -> str:
    """Return on one line what a driver says, without what SQLAlchemy adds."""
    return " ".join(str(error.orig).split()).rstrip(".")


def take_time(connection: sa.Connection) -> None:
    """Do as :func:`portal.core.database.take_time`."""
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{LONGEST}s'")
    driver: Any = connection.connection.dbapi_connection
    driver.patience = float(LONGEST)


def commit_soon(connection: sa.Connection, patience: int) -> None:
    """Do as :func:`portal.core.database.commit_soon`, but wait for the disk.

    The server may crash, or a standby take over, where this host goes on without what it handed
    over, such as lines of the record.
    """
    connection.exec_driver_sql(
        "SELECT set_config('lock_timeout', %s, true)"
        " WHERE pg_current_xact_id_if_assigned() IS NULL",
        (f"{max(patience, 1)}ms",),  # 0 would be forever
    )


def begin_writing(connection: sa.Connection) -> None:
    """Keep others from passing here until the transaction ends."""
    _lock(connection, "record")


@contextmanager
def once(engine: sa.Engine, job: str) -> Iterator[bool]:
    """Do as :func:`portal.core.database.once`."""
    key = {"place": _LOCKS, "job": _JOBS.index(job)}
    # Of a session, as jobs have many transactions; whose end of the connection frees it, too.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        taken = sa.text("SELECT pg_try_advisory_lock(:place, :job)")
        is_mine = bool(connection.scalar(taken, key))
        try:
            yield is_mine
        finally:
            if is_mine:
                with suppress(sa.exc.DBAPIError):
                    connection.execute(sa.text("SELECT pg_advisory_unlock(:place, :job)"), key)


def _lock(connection: sa.Connection, job: str) -> None:
    key = {"place": _LOCKS, "job": _JOBS.index(job)}
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:place, :job)"), key)


@contextmanager
def migrating(connection: sa.Connection) -> Iterator[None]:
    """Let one migration run at a time, for as long as it takes, but for locks of others."""
    for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
        connection.exec_driver_sql(f"SET LOCAL {limit} = 0")
    with _waiting_for_any_lock(connection):
        _lock(connection, "upgrade")
    yield
    connection.commit()


@contextmanager
def _waiting_for_any_lock(connection: sa.Connection) -> Iterator[None]:
    """Wait as long as another upgrade takes; what follows must not keep the portal waiting."""
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    yield
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}")


def check(engine: sa.Engine) -> None:
    """Do as :func:`portal.core.database.check`."""
    with engine.connect() as connection:
        if connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on":
            raise OSError("PORTAL_DATABASE names a server that only reads, such as a standby")
        # Which is written as a change is, and waits for a standby as that does.
        connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'portal', '')")
        connection.commit()


def explain(_engine: sa.Engine, error: sa.exc.DBAPIError) -> str | None:
    """Do as :func:`portal.core.database.explain`."""
    state = _state(error)
    if state == _DISK_FULL:
        return "The disk of the PostgreSQL server is full. Nothing was changed. Free some space."
    if state == "42501":
        return (
            f"PORTAL_DATABASE names a user without the rights for that: {reason_of(error)}. Let it"
            " own the schema: ALTER SCHEMA public OWNER TO portal"
        )
    if is_away(error):
        return (
            f"The database that PORTAL_DATABASE names cannot be used now: {reason_of(error)}."
            " Nothing was changed. Look after the server, and try again."
        )
    return None


def is_full(_engine: sa.Engine, error: sa.exc.DBAPIError) -> bool:
    """Do as :func:`portal.core.database.is_full`."""
    return _state(error) == _DISK_FULL


def is_away(error: sa.exc.DBAPIError) -> bool:
    """Do as :func:`portal.core.database.is_away`."""
    state = _state(error)
    if state is None:  # the driver says so, and no server
        connection_failed = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
        return error.connection_invalidated or connection_failed
    return state.startswith(_AWAY)


def is_in_doubt(error: sa.exc.DBAPIError) -> bool:
    """Do as :func:`portal.core.database.is_in_doubt`."""
    return getattr(error, "is_of_a_commit", False) and is_away(error)


def _state(error: sa.exc.DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    return None if state is None else str(state)
