"""What defines a database, however its SQL is spelled: versions of the libraries differ in that."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

Schema = dict[tuple[str, str], object]
"""By kind and name, all that SQLite tells of a table, an index or whatever else there is."""

_OBJECTS = (
    "SELECT type, name, sql FROM sqlite_schema WHERE type NOT IN ('table', 'index')"
    " UNION ALL SELECT type || ' table', name, '' FROM pragma_table_list"
    " WHERE schema = 'main' AND type NOT IN ('table', 'view')"
)
_TABLES = (
    "SELECT name, wr, strict FROM pragma_table_list"
    r" WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"
)
_COLUMNS = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
_REFERENCES = 'SELECT "from", "table", "to", on_update, on_delete FROM pragma_foreign_key_list(?)'
_INDEXES = (
    'SELECT list.name, "unique", origin, partial, sql FROM pragma_index_list(?) AS list'
    " LEFT JOIN sqlite_schema AS found ON found.type = 'index' AND found.name = list.name"
)
_INDEXED = 'SELECT name, "desc", coll FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno'
_WHERE = re.compile(r"\bWHERE\b(.*)", re.IGNORECASE | re.DOTALL)
_SPELLING = re.compile(r'[\s()"`\[\]]+')


def read(connection: sqlite3.Connection) -> Schema:
    """Return the schema of a database."""
    found: Schema = {
        (kind, name): " ".join(sql.split()) for kind, name, sql in connection.execute(_OBJECTS)
    }
    for table, *options in connection.execute(_TABLES).fetchall():
        columns = {
            (name, _plain(kind), is_required, _plain(default), key, hidden)
            for name, kind, is_required, default, key, hidden in connection.execute(
                _COLUMNS, [table]
            )
        }
        references = set(connection.execute(_REFERENCES, [table]))
        indexes = list(_indexes(connection, table))
        constraints = {what for what, name in indexes if name is None}
        found["table", table] = (*options, columns, references, constraints)
        found.update({("index", name): (table, what) for what, name in indexes if name})
    return found


def _indexes(connection: sqlite3.Connection, table: str) -> Iterator[tuple[object, str | None]]:
    """Yield what each index of a table is, and its name; those of constraints have none."""
    for name, is_unique, origin, is_partial, sql in connection.execute(
        _INDEXES, [table]
    ).fetchall():
        condition = _WHERE.search(sql) if is_partial else None
        indexed = tuple(connection.execute(_INDEXED, [name]))
        what = (is_unique, origin, indexed, condition and _plain(condition[1]))
        yield what, name if origin == "c" else None


def _plain(sql: str | None) -> str | None:
    return None if sql is None else _SPELLING.sub(" ", sql).strip().upper()
