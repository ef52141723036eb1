"""Clients that read nothing, or a byte a second; and what there is to ask for."""

from __future__ import annotations

import re
import socket
import sqlite3
import tempfile
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

from portal import create_app

from .visitors import Visitor

LARGE = 4 * 1024**2
FORM = "application/x-www-form-urlencoded"
_ROWS = 6000
"""Rows of the record, which are 1 MiB as CSV."""
_LINKS = 3000
"""Links of one account, which are a page of some MiB."""
_OWN = "FROM entry JOIN account ON account.id = owner_id WHERE account.name = ?"
_IDS = {
    "/files/": f"SELECT public_id {_OWN} AND is_file AND size = {LARGE}",
    "/entries/": f"SELECT public_id {_OWN} AND is_file AND size = {LARGE}",
    "/folders/": f"SELECT public_id {_OWN} AND parent_id IS NULL AND NOT is_file",
    "/trash/": f"SELECT public_id {_OWN} AND trashed_at IS NOT NULL",
    "/links/shares/": "SELECT public_id FROM share WHERE ? != ''",
    "/links/requests/": "SELECT public_id FROM file_request WHERE ? != ''",
    "/accounts/": "SELECT id FROM account WHERE name != ?",
}
"""What stands in an address behind these."""
_MANY_ROWS = """
WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < ?)
INSERT INTO activity (at, action, actor, address, owner_id, entry, name, detail)
SELECT at, action, actor, address, owner_id, entry, hex(zeroblob(100)), ''
FROM count, (SELECT * FROM activity WHERE action = 'upload' ORDER BY id DESC LIMIT 1)"""
_MANY_LINKS = """
WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < ?)
INSERT INTO share (entry_id, owner_id, public_id, token_hash, note, created_at, downloads)
SELECT id, owner_id, hex(randomblob(16)), hex(randomblob(32)), '', created_at, 0
FROM count, entry WHERE public_id = ?"""


def rules() -> list[str]:
    """Return the rules of all addresses of the portal that can be read."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app({"DATA": str(Path(folder).resolve() / "data")})
    return sorted(
        rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or {"GET"})
    )


def address(rule: str, data: Path, name: str) -> str:
    """Return an address of a rule for an account: of the largest thing there is, if any."""
    begin, *end = re.split("<[^>]*>", rule)
    if not end:
        return rule
    with closing(sqlite3.connect(data / "portal.db")) as database:
        found = database.execute(_IDS[begin], [name]).fetchone() if begin in _IDS else None
    return f"{begin}{found[0] if found else 'x'}{'x'.join(end)}"


def prepare(data: Path, visitor: Visitor) -> None:
    """Give alice, who is signed in, much to read: a large file, a long record, many links."""
    visitor.upload("large.bin", bytes(LARGE))
    folder = address("/folders/<public_id>", data, "alice").rpartition("/")[2]
    with closing(sqlite3.connect(data / "portal.db", timeout=60)) as database, database:
        database.execute(_MANY_ROWS, [_ROWS])
        database.execute(_MANY_LINKS, [_LINKS, folder])


class Clients:
    """Connections with small buffers, on which nobody reads."""

    def __init__(self, port: int, count: int) -> None:
        self._port, self._count, self._ended = port, count, threading.Event()

    def __enter__(self) -> Self:
        self._sockets = []
        for _ in range(self._count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(20)
            client.connect(("127.0.0.1", self._port))
            self._sockets.append(client)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.close()

    def close(self) -> None:
        for client in self._sockets:
            client.close()

    def ask(self, path: str, cookies: Mapping[str, str], times: int) -> None:
        """Ask on each connection, so often without waiting for an answer."""
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n"
        for client in self._sockets:
            with suppress(OSError):
                client.sendall(request.encode() * times)

    def read_slowly(self) -> None:
        """Read a byte a second on each connection from now on."""

        def read() -> None:
            while not self._ended.wait(1):
                for client in self._sockets:
                    with suppress(OSError):
                        client.recv(1, socket.MSG_DONTWAIT)

        threading.Thread(target=read, daemon=True).start()
