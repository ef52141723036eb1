"""Databases of each revision of the schema, with rows in every table, as SQL beside this file.

A new migration needs one of its own: ``python -m tests.support.schemas`` upgrades the newest one
there is, and writes it. Then add rows to the tables and columns that are new. Once a migration is
on the main branch, people's databases have its revision: neither it nor its database changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
REVISIONS = sorted(path.stem for path in FOLDER.glob("*.sql"))

FILES = {
    "0123456789abcdef" * 2: b"kept since the first version\n",
    "fedcba9876543210" * 2: b"old one",
}
"""The content of alice's files ``Kept.txt`` and ``Old.txt``, the latter in the trash.

Her password is ``tests.support.portal.PASSWORD``.
"""

Rows = dict[str, list[dict[str, Any]]]


def dump_of(revision: str) -> str:
    return (FOLDER / f"{revision}.sql").read_text(encoding="utf-8")


def load(revision: str, data: Path) -> None:
    """Create a data folder that a portal of that revision left."""
    data.mkdir(0o700, exist_ok=True)
    (data / "portal.db").touch(0o600)
    for key, content in FILES.items():
        path = data / "files" / key[:2] / key
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_bytes(content)
    (data / "files").chmod(0o700)
    with closing(sqlite3.connect(data / "portal.db")) as connection:
        connection.executescript(dump_of(revision))


@contextmanager
def in_memory(revision: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(dump_of(revision))
        yield connection


def rows(connection: sqlite3.Connection) -> Rows:
    """Read all tables of the portal."""
    tables = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table'"
        " AND name != 'alembic_version' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    ).fetchall()
    found: Rows = {}
    for (table,) in tables:
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY 1")  # noqa: S608
        names = [column[0] for column in cursor.description]
        found[table] = [dict(zip(names, row, strict=True)) for row in cursor]
    return found
