"""Somebody else who keeps the portal's database locked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from portal.core import postgresql_connection, sqlite

from . import postgresql


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Keep everybody from writing the database of a data folder."""
    if address := postgresql.url_for(data):
        with psycopg.connect(address) as other:
            other.execute("LOCK TABLE account, sign_in, activity, log_position IN EXCLUSIVE MODE")
            yield
            other.rollback()
        return
    with closing(sqlite3.connect(data / "portal.db", timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def be_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for others for a moment only, with connections that are new."""
    monkeypatch.setattr(sqlite, "_WAIT", "busy_timeout = 50")
    monkeypatch.setitem(postgresql_connection._ALWAYS, "lock_timeout", 50)
