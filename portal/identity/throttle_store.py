"""Counters of attempts in SQLite, shared by all processes: ``limits`` has no such storage."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from limits.storage import Storage

from portal.core.clock import SKEW

SCHEME = "portal-sqlite"
_BUSY_TIMEOUT = 5
"""Seconds that an attempt waits for another one to be counted."""
_SKEW = SKEW.total_seconds()
_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    key TEXT PRIMARY KEY, count INTEGER NOT NULL, began_at REAL NOT NULL, expires_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attempts_expires_at ON attempts (expires_at);
"""


class SQLiteStorage(Storage):
    """Counters in a file, opened anew for each call: attempts are rare, and processes fork.

    :param uri: ``portal-sqlite:`` and the file's absolute path, quoted.
    """

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012  (as the library declares it)

    def __init__(
        self, uri: str, wrap_exceptions: bool = False, **options: float | str | bool
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self._path = Path(unquote(urlsplit(uri).path))
        if self._is_broken():  # after a power cut
            self._path.unlink()
        # SQLite would create it readable for everybody.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Return the exceptions that a call may raise."""
        return sqlite3.Error

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, and return the new count.

        :param expiry: seconds after which a new counter is deleted.
        """
        now = time.time()
        with self._writing() as connection:
            # What began later than now was counted by a clock that was wrong.
            connection.execute(
                "DELETE FROM attempts WHERE expires_at <= ? OR began_at > ?", (now, now + _SKEW)
            )
            row = connection.execute(
                "INSERT INTO attempts VALUES (?, ?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET count = count + excluded.count RETURNING count",
                (key, amount, now, now + expiry),
            ).fetchone()
            return int(row[0])

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
            with self._writing():
                return True
        except sqlite3.Error:
            return False

    def reset(self) -> int:
        """Delete all counters, and return how many."""
        with self._writing() as connection:
            return connection.execute("DELETE FROM attempts").rowcount

    def clear(self, key: str) -> None:
        """Delete a counter."""
        with self._writing() as connection:
            connection.execute("DELETE FROM attempts WHERE key = ?", (key,))

    def _is_broken(self) -> bool:
        if not self._path.exists():
            return False
        try:
            with self._open() as connection:
                return bool(connection.execute("PRAGMA quick_check").fetchone() != ("ok",))
        except sqlite3.OperationalError:
            return False  # locked, or no room: that passes
        except sqlite3.DatabaseError:
            return True

    def _find(self, key: str) -> tuple[int, float] | None:
        with self._open() as connection:
            now = time.time()
            found: tuple[int, float] | None = connection.execute(
                "SELECT count, expires_at FROM attempts"
                " WHERE key = ? AND expires_at > ? AND began_at <= ?",
                (key, now, now + _SKEW),
            ).fetchone()
            return found

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT, isolation_level=None)
        with closing(connection):
            # Counters may be lost in a power cut: no need to wait for the disk.
            connection.execute("PRAGMA synchronous = OFF")
            connection.executescript(_SCHEMA)
            yield connection
