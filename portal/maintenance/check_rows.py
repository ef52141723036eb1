"""Checking that no row contradicts itself or another one, which no constraint can say."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from portal.accounts.usernames import skeleton
from portal.core import text
from portal.files.tree import DEEPEST
from portal.tus.headers import is_metadata

KEYS = {
    "account": {"name_key": "fold(name)", "skeleton": "skeleton(name)"},
    "activity": {"actor_key": "search_key(actor)", "name_key": "search_key(name)"},
    "entry": {
        "name_key": "fold(name)",
        "search_key": "search_key(name)",
        "sort_key": "sort_key(name)",
    },
}
"""By table and column, how what is compared, found and sorted by is computed from names.

Another version of Python, with another one of Unicode, may have computed some keys differently.
"""

_TREE = (
    "WITH RECURSIVE tree(id, depth) AS (SELECT id, 0 FROM entry WHERE parent_id IS NULL UNION ALL"
    " SELECT entry.id, depth + 1 FROM entry JOIN tree ON entry.parent_id = tree.id)"
    " SELECT id FROM tree"
)
"""What lies in the root folders: in what lies in itself, nobody comes from there."""
TAKES_FOLDERS = f"entry.id IN ({_TREE} WHERE depth < {DEEPEST})"
"""The condition that a folder is in its place, and others may lie in it."""


class Rule(NamedTuple):
    """What the portal relies on in each row of a table.

    :param broken: the condition, in SQL, for a row that breaks it.
    :param words: what is wrong with such a row.
    :param kind: of the problem, as documented. ``row``: nothing can be repaired.
    """

    table: str
    broken: str
    words: str
    kind: str = "row"


class Contradiction(NamedTuple):
    """A row that breaks a rule."""

    rule: Rule
    row: int

    def __str__(self) -> str:
        return f"{self.rule.table}, row {self.row}, {self.rule.words}"


def _around(condition: str) -> str:
    around = "EXISTS (SELECT 1 FROM entry around WHERE around.id = entry.parent_id AND"
    return f"{around} {condition})"


def _place(table: str, column: str, condition: str) -> str:
    return f"EXISTS (SELECT 1 FROM entry WHERE id = {table}.{column} AND {condition})"  # noqa: S608


RULES = (
    *(
        Rule(
            table,
            " OR ".join(f"{column} IS NOT {key}" for column, key in columns.items()),
            "has a key that does not belong to its name",
            "key",
        )
        for table, columns in KEYS.items()
    ),
    Rule(
        "account",
        "id NOT IN (SELECT owner_id FROM entry WHERE parent_id IS NULL)",
        "has no root folder",
        "folder",
    ),
    Rule(
        "account",
        "used != (SELECT coalesce(sum(size), 0) FROM entry WHERE owner_id = account.id)",
        "counts other bytes than its files have",
        "used",
    ),
    Rule(
        "entry",
        "version_of IS NOT NULL AND (NOT is_file OR trash_id IS NOT id OR NOT EXISTS (SELECT 1 FROM"
        " entry held WHERE held.id = entry.version_of AND held.is_file AND held.version_of IS NULL"
        " AND held.owner_id = entry.owner_id))",
        "is a version of what is no file of its owner, or not in the trash by itself",
        "version",
    ),
    *(
        Rule("entry", broken, words, "folder")
        for broken, words in (
            (
                "(trash_id IS NULL) != (trashed_at IS NULL)",
                "is in the trash without a time, or has a time and is not in the trash",
            ),
            (
                "trash_id != id AND " + _around("around.trash_id IS NOT entry.trash_id"),
                "is in the trash, but cannot be found there",
            ),
            (
                "trash_id IS NULL AND " + _around("around.trash_id IS NOT NULL"),
                "is in a folder in the trash, but not in the trash itself",
            ),
            (_around("around.is_file"), "is in a file"),
            (_around("around.owner_id != entry.owner_id"), "is in another account's folder"),
            (f"id NOT IN ({_TREE})", "is in folders that contain each other"),
            (
                f"NOT is_file AND trash_id IS NULL AND id IN ({_TREE} WHERE depth > {DEEPEST})",
                f"is in more than {DEEPEST} folders",
            ),
        )
    ),
    *(
        Rule(table, _place(table, column, f"entry.owner_id != {table}.owner_id"), words)
        for table, column, words in (
            ("share", "entry_id", "shares what another account has"),
            ("file_request", "folder_id", "leads to another account's folder"),
            ("upload", "folder_id", "goes to another account's folder"),
        )
    ),
    Rule("file_request", _place("file_request", "folder_id", "is_file"), "leads to a file"),
    Rule("upload", _place("upload", "folder_id", "is_file"), "goes into a file"),
    Rule(
        "upload",
        "request_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM file_request WHERE id = request_id"
        " AND file_request.folder_id = upload.folder_id)",
        "comes by a link that is missing, or leads to another folder",
    ),
    Rule(
        "upload",
        "(request_id IS NULL) != (visitor IS NULL)",
        "comes by a link without a visitor, or from a visitor without a link",
    ),
    Rule("upload", "arrived > size", "has more than its size"),
    Rule("upload", "NOT is_metadata(client_metadata)", "has metadata that nobody can read"),
    Rule("upload", "finished_at IS NOT NULL AND arrived < size", "is finished and not complete"),
    # Who deletes the upload, or the thumbnail, would delete that, too.
    Rule(
        "thumbnail",
        "own_key IN (SELECT storage_key FROM entry)",
        "has the key of a stored file's content",
    ),
    Rule(
        "upload",
        "part_key IN (SELECT storage_key FROM entry)",
        "has the key of a stored file's content",
    ),
)


def contradictions(connection: sqlite3.Connection) -> Iterator[Contradiction]:
    """Yield the rows that break a rule, in a database of the present schema and usable values."""
    add_functions(connection)
    for rule in RULES:
        query = f"SELECT id FROM {rule.table} WHERE {rule.broken} ORDER BY id"  # noqa: S608
        for (row,) in connection.execute(query).fetchall():
            yield Contradiction(rule, row)


def still_breaks(connection: sqlite3.Connection, found: Contradiction) -> bool:
    """Return whether a row breaks its rule by now, with a connection that found it."""
    rule = found.rule
    query = f"SELECT 1 FROM {rule.table} WHERE id = ? AND ({rule.broken})"  # noqa: S608
    return connection.execute(query, [found.row]).fetchone() is not None


def add_functions(connection: sqlite3.Connection) -> None:
    """Let a connection compute :data:`KEYS`, and what rules ask for."""
    for function in (text.fold, text.search_key, text.sort_key, skeleton, is_metadata):
        connection.create_function(function.__name__, 1, function, deterministic=True)


def compute_keys(connection: sqlite3.Connection, found: Contradiction) -> None:
    """Compute the keys of a row again, with a connection that has the functions.

    :raises sqlite3.IntegrityError: if another row has them.
    """
    table = found.rule.table
    keys = ", ".join(f"{column} = {key}" for column, key in KEYS[table].items())
    connection.execute(f"UPDATE {table} SET {keys} WHERE id = ?", [found.row])  # noqa: S608
