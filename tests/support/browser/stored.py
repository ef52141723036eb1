"""What a portal that runs has stored: rows, files on disk and their hashes, and the quota."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from ..portal_process import Run

_BELOW = """
WITH RECURSIVE below (id, path) AS (
  SELECT id, name FROM entry WHERE name = ? AND NOT is_file AND trash_id IS NULL
  UNION ALL
  SELECT entry.id, rtrim(below.path, '/') || '/' || entry.name || iif(is_file, '', '/')
  FROM entry JOIN below ON entry.parent_id = below.id AND entry.trash_id IS NULL
)
SELECT below.path, entry.is_file, entry.size, entry.sha256, entry.storage_key
FROM below JOIN entry USING (id)
"""


def rows(run: Run, query: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(run.data / "portal.db")) as database:
        return database.execute(query, values).fetchall()


def stored_in(run: Run, folder: str) -> Mapping[str, str]:
    """Return the hashes of the files below a folder by their paths in it; of folders, nothing.

    Each file's content on disk is what its row says.
    """
    found = {}
    for path, is_file, size, sha256, key in rows(run, _BELOW, folder):
        inner = path.partition("/")[2]
        if is_file:
            content = (run.data / "files" / key[:2] / key).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (size, sha256), path
        if inner:
            found[inner] = sha256 if is_file else ""
    return found


def assert_consistent(run: Run) -> None:
    """Check that quotas are the sums of what is stored, and nothing is on disk without a row."""
    for name, used, size in rows(
        run,
        "SELECT account.name, used, coalesce(sum(entry.size), 0) FROM account"
        " LEFT JOIN entry ON entry.owner_id = account.id AND is_file GROUP BY account.id",
    ):
        assert used == size, name
    kept = (
        "SELECT storage_key FROM entry WHERE is_file"
        " UNION ALL SELECT own_key FROM thumbnail WHERE own_key IS NOT NULL"
    )
    keys = [key for (key,) in rows(run, kept)]
    on_disk = [path.name for path in (run.data / "files").glob("[0-9a-f][0-9a-f]/*")]
    assert Counter(on_disk) == Counter(keys)
    begun = rows(run, "SELECT part_key FROM upload WHERE finished_at IS NULL")
    parts = [path.name for path in (run.data / "incoming").glob("parts/*")]
    assert sorted(parts) == sorted(key for (key,) in begun)
