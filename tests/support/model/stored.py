"""What the portal has stored, read past it: the database's rows and the files on the disk."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any

from portal.maintenance.check_rows import contradictions
from portal.maintenance.check_values import unusable

Row = tuple[Any, ...]
_LINE = ("action", "actor", "owner_id", "name", "linked_entry")


class Stored:
    """The data folder of a portal."""

    def __init__(self, data: Path) -> None:
        self._data = data
        uri = f"file:{data / 'portal.db'}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, timeout=30)

    def close(self) -> None:
        self._connection.close()

    def rows(self, query: str, *values: object) -> list[Row]:
        return self._connection.execute(query, values).fetchall()

    def unusable(self) -> list[str]:
        """Return the values that the portal's own check would refuse."""
        return [str(found) for found in unusable(self._connection)]

    def contradictions(self) -> list[str]:
        """Return the rows that do."""
        return [str(found) for found in contradictions(self._connection)]

    def last(self, table: str, column: str = "id") -> Any:
        """Return the latest row's column; 0 without any."""
        found = self.rows(f"SELECT {column} FROM {table} ORDER BY id DESC LIMIT 1")  # noqa: S608
        return found[0][0] if found else 0

    def number_of(self, name: str) -> int:
        ((number,),) = self.rows("SELECT id FROM account WHERE name = ?", name)
        return int(number)

    def newest_entries(self, known: Collection[str], owner: int) -> list[Row]:
        """Return an account's entries that are not known, the oldest first."""
        found = self.rows(
            "SELECT entry.public_id, entry.owner_id, folder.public_id, entry.name FROM entry"
            " LEFT JOIN entry folder ON folder.id = entry.parent_id WHERE entry.owner_id = ?"
            " ORDER BY entry.id",
            owner,
        )
        return [row for row in found if row[0] not in known]

    def accounts(self) -> dict[str, Row]:
        found = self.rows(
            "SELECT name, role = 'ADMINISTRATOR', is_active, quota, used, totp_secret,"
            " (SELECT count(*) FROM recovery_code WHERE account_id = account.id) FROM account"
        )
        return {name: rest for name, *rest in map(list, found)}  # type: ignore[misc]

    def entries(self) -> dict[str, Row]:
        found = self.rows(
            "SELECT entry.public_id, account.name, folder.public_id, entry.name, entry.is_file,"
            " entry.size, trash.public_id, entry.sha256, held.public_id FROM entry"
            " JOIN account ON account.id = entry.owner_id"
            " LEFT JOIN entry folder ON folder.id = entry.parent_id"
            " LEFT JOIN entry trash ON trash.id = entry.trash_id"
            " LEFT JOIN entry held ON held.id = entry.version_of"
        )
        return {row[0]: row[1:] for row in found}

    def sessions(self, since: str, until: str) -> set[str]:
        """Return the ids of the sessions that began between two moments."""
        query = "SELECT public_id FROM sign_in WHERE created_at BETWEEN ? AND ?"
        return {row[0] for row in self.rows(query, since, until)}

    def uploads(self) -> dict[str, Row]:
        """Return what is known of uploads, and what has arrived of each that is not finished."""
        found = self.rows(
            "SELECT upload.public_id, account.name, entry.public_id, upload.name, upload.size,"
            " file_request.public_id, finished_at IS NULL, arrived, part_key FROM upload"
            " JOIN account ON account.id = upload.owner_id"
            " JOIN entry ON entry.id = upload.folder_id"
            " LEFT JOIN file_request ON file_request.id = upload.request_id"
        )
        parts = self._parts()
        rows = {row[0]: (*row[1:-1], parts.pop(row[-1], None)) for row in found}
        return rows | {key: (part,) for key, part in parts.items()}

    def _parts(self) -> dict[str, bytes]:
        """Return what the disk has of unfinished uploads."""
        folder = self._data / "incoming" / "parts"
        found = folder.iterdir() if folder.exists() else ()
        return {path.name: path.read_bytes() for path in found}

    def links(self) -> dict[str, Row]:
        shares = self.rows(
            "SELECT share.public_id, 'share', account.name, entry.public_id, downloads, 0,"
            " revoked_at IS NOT NULL, share.password_hash IS NOT NULL FROM share"
            " JOIN account ON account.id = share.owner_id JOIN entry ON entry.id = entry_id"
        )
        requests = self.rows(
            "SELECT file_request.public_id, 'request', account.name, entry.public_id, files,"
            " file_request.size, revoked_at IS NOT NULL, 0 FROM file_request"
            " JOIN account ON account.id = file_request.owner_id JOIN entry ON entry.id = folder_id"
        )
        return {row[0]: row[1:] for row in [*shares, *requests]}

    def lines(self, after: int) -> list[Row]:
        """Return the record's rows after one, and those that wait, whose id is 0, in order."""
        rows = self.rows(
            f"SELECT id, {', '.join(_LINE)} FROM activity WHERE id > ? ORDER BY id",  # noqa: S608
            after,
        )
        waiting = map(json.loads, self._waiting())
        return rows + [(0, *(row[column] for column in _LINE)) for row in waiting]

    def _waiting(self) -> list[bytes]:
        """Return what nobody has brought into the database yet."""
        content = (self._data / "activity.spool").read_bytes()
        _, first, end = struct.unpack_from("<8sQQ", content)
        return [line for line in content[64 : 64 + end - first].split(b"\n") if line]

    def files(self) -> dict[str, bytes]:
        """Return the content on the disk by the ids of the files, and what no row names."""
        rows = self.rows("SELECT storage_key, public_id FROM entry WHERE is_file")
        keys = {key: str(public_id) for key, public_id in rows}
        found = (path for path in (self._data / "files").rglob("*") if path.is_file())
        return {keys.get(path.name, str(path)): path.read_bytes() for path in found}

    def arriving(self) -> list[Path]:
        """Return what is in the folder of incoming files, but for unfinished uploads."""
        return [path for path in (self._data / "incoming").iterdir() if path.is_file()]
