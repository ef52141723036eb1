"""The portal as people use it: downloads, and long lists."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from tests.support.portal_process import Run, shared_folder, started
from tests.support.sites import new_site
from tests.support.visitors import Visitor

from .load import requests_per_second
from .results import Table
from .servers import SMALL, fill, ours


@contextmanager
def portal() -> Iterator[tuple[Run, Visitor]]:
    """Start the portal as ``scripts/run`` does, and sign alice in."""
    with shared_folder() as folder, started(folder / "data", "--demo") as run:
        visitor = Visitor(run.port)
        visitor.sign_in("alice", run.password("alice"))
        yield run, visitor


def portal_download(*, rounds: int, seconds: float) -> Iterator[Table]:
    """Compare downloads from the portal with one from a bare Flask view."""
    tables = {
        name: Table(
            name,
            "Requests a second for a small file, on 8 connections: from a view that only hands"
            f" off, and from the portal, which looks up {looked_up}, and records it.",
            "requests/s",
            baseline="bare hand-off",
            ours="portal",
            targets={"bare hand-off": target},
        )
        for name, looked_up, target in (
            ("portal download", "the session, the policy and the file", 0.45),
            ("shared download", "a visitor's link, its limits and the file", 0.4),
        )
    }
    with new_site() as site, portal() as (run, alice):
        fill(site, 0)
        file, visitor = min(alice.files()), Visitor(run.port)
        begun = visitor.begin_download(alice.share(file))
        with ours(site) as port:
            for _ in range(rounds):
                bare = requests_per_second(f"http://127.0.0.1:{port}/handoff/{SMALL}", seconds)
                asked = ((alice, file), (visitor, begun))
                for table, (who, path) in zip(tables.values(), asked, strict=True):
                    table.add("bare hand-off", bare)
                    url = f"http://127.0.0.1:{run.port}{path}"
                    table.add("portal", requests_per_second(url, seconds, headers=cookie_of(who)))
    yield from tables.values()


def portal_list(*, rounds: int, seconds: float, files: int) -> Iterator[Table]:
    """Compare the first page of a folder of many files with that of a hundred.

    :param files: in the long one.
    """
    table = Table(
        "long list",
        f"Milliseconds for the first page of a folder of {files:,} files, and of one of 100, by one"
        " person after the other.",
        "ms",
        baseline="100 files",
        ours=f"{files:,} files",
        targets={"100 files": 1.5},
        less_is_better=True,
    )
    with portal() as (run, visitor):
        few, many = (f"/folders/{fill_folder(run, count)}" for count in (100, files))
        cookie = cookie_of(visitor)
        for _ in range(rounds):
            for name, path in (("100 files", few), (f"{files:,} files", many)):
                url = f"http://127.0.0.1:{run.port}{path}"
                rate = requests_per_second(url, seconds, connections=1, headers=cookie)
                table.add(name, 1000 / rate)
    yield table


def cookie_of(visitor: Visitor) -> dict[str, str]:
    """Return the header with a visitor's cookies."""
    return {"Cookie": "; ".join(f"{name}={text}" for name, text in visitor.cookies.items())}


def fill_folder(run: Run, count: int) -> str:
    """Put a folder with so many files into alice's, as rows only, and return its public id."""
    with closing(sqlite3.connect(run.data / "portal.db")) as database, database:
        database.row_factory = sqlite3.Row
        folder = _row(database, "Projects")
        public_id = _insert(database, [folder | _named(f"{count} files")])
        made = database.execute("SELECT id FROM entry WHERE public_id = ?", [public_id]).fetchone()
        file = _row(database, "Welcome.txt") | {"parent_id": made["id"]}
        _insert(database, [file | _named(f"File {number:06}.txt") for number in range(count)])
    return public_id


def _row(database: sqlite3.Connection, name: str) -> dict[str, Any]:
    alices = "owner_id = (SELECT id FROM account WHERE name = 'alice')"
    found = database.execute(f"SELECT * FROM entry WHERE name = ? AND {alices}", [name]).fetchone()
    return dict(found)


def _named(name: str) -> dict[str, Any]:
    key = name.casefold()
    keys = {"name_key": key, "search_key": key, "sort_key": key}
    return {"name": name, **keys, "public_id": secrets.token_urlsafe(24)}


def _insert(database: sqlite3.Connection, rows: list[dict[str, Any]]) -> str:
    """Enter rows, and return the last one's public id. There is no content: lists do not look."""
    for row in rows:
        row["id"] = None
        row["storage_key"] = row["storage_key"] and secrets.token_hex(16)
    marks = ", ".join("?" * len(rows[0]))
    database.executemany(
        f"INSERT INTO entry ({', '.join(rows[0])}) VALUES ({marks})",
        [list(row.values()) for row in rows],
    )
    return str(rows[-1]["public_id"])
