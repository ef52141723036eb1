"""Counters of attempts in PostgreSQL, shared by all hosts that have the database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from limits.storage import Storage

from portal.core import postgresql
from portal.core.clock import SKEW

SCHEME = "portal-database"
_SKEW = SKEW.total_seconds()
# What began later than now was counted by a clock that was wrong.
_IS_LIVE = "mine.expires_at > :now AND mine.began_at <= :latest"
_COUNT = sa.text(
    "INSERT INTO attempt AS mine (key, count, began_at, expires_at)"  # noqa: S608  (no values)
    " VALUES (:key, :amount, :now, :end) ON CONFLICT (key) DO UPDATE SET"
    f" count = excluded.count + CASE WHEN {_IS_LIVE} THEN mine.count ELSE 0 END,"
    f" began_at = CASE WHEN {_IS_LIVE} THEN mine.began_at ELSE excluded.began_at END,"
    f" expires_at = CASE WHEN {_IS_LIVE} THEN mine.expires_at ELSE excluded.expires_at END"
    " RETURNING count"
)
# Who deletes some waits for nobody who deletes others, or counts.
_FORGET = sa.text(
    "DELETE FROM attempt WHERE key IN (SELECT key FROM attempt"
    " WHERE expires_at <= :now OR began_at > :latest LIMIT 100 FOR UPDATE SKIP LOCKED)"
)
_FIND = sa.text(
    f"SELECT count, expires_at FROM attempt AS mine WHERE key = :key AND {_IS_LIVE}"  # noqa: S608
)


class DatabaseStorage(Storage):
    """Counters in the table ``attempt``.

    :param engine: the database's.
    """

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012  (as the library declares it)

    def __init__(
        self, uri: str, wrap_exceptions: bool = False, *, engine: sa.Engine, **options: Any
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self._engine = engine

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Return the exceptions that a call may raise."""
        return sa.exc.SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, and return the new count.

        :param expiry: seconds after which a new counter is deleted.
        """
        now = _now()
        with self._writing() as connection:
            values = {"key": key, "amount": amount, "end": now["now"] + expiry, **now}
            count = int(connection.execute(_COUNT, values).scalar_one())
        with self._writing() as connection:
            connection.execute(_FORGET, now)
        return count

    def get(self, key: str) -> int:
        """Return the count."""
        row = self._find(key)
        return int(row[0]) if row else 0

    def get_expiry(self, key: str) -> float:
        """Return when a counter expires, in seconds since 1970."""
        row = self._find(key)
        return float(row[1]) if row else time.time()

    def check(self) -> bool:
        """Return whether counting works."""
        try:
            with self._writing() as connection:
                connection.execute(_FORGET, _now())
        except sa.exc.SQLAlchemyError:
            return False
        return True

    def reset(self) -> int:
        """Delete all counters, and return how many."""
        with self._writing() as connection:
            return connection.execute(sa.text("DELETE FROM attempt")).rowcount

    def clear(self, key: str) -> None:
        """Delete a counter."""
        with self._writing() as connection:
            connection.execute(sa.text("DELETE FROM attempt WHERE key = :key"), {"key": key})

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            # Counters may be lost in a power cut: no need to wait for the disk.
            postgresql.commit_soon(connection, postgresql.LOCK_TIMEOUT)
            yield connection

    def _find(self, key: str) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(_FIND, {"key": key, **_now()}).one_or_none()


def _now() -> dict[str, float]:
    now = time.time()
    return {"now": now, "latest": now + _SKEW}
