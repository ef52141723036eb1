"""The portal as people use it: downloads, uploads, long lists; and copyparty beside it."""

from __future__ import annotations

import base64
import http.client
import os
import secrets
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

from flask_delegate.testing.apache import free_port
from tests.support.portal_process import Run, shared_folder, started, uploads_daemons
from tests.support.processes import memory_of
from tests.support.servers import process
from tests.support.sites import express, new_site
from tests.support.visitors import Visitor

from .load import bytes_per_second, requests_per_second
from .results import Table
from .servers import LARGE, SMALL, fill, ours

MIB = 1024**2


@contextmanager
def portal() -> Iterator[tuple[Run, Visitor]]:
    """Start the portal as ``scripts/run`` does, and sign alice in."""
    with shared_folder() as folder, started(folder / "data", "--demo") as run:
        visitor = Visitor(run.port)
        visitor.sign_in("alice", run.password("alice"))
        yield run, visitor


def portal_download(*, rounds: int, seconds: float) -> Iterator[Table]:
    """Compare a download from the portal with one from a bare Flask view."""
    table = Table(
        "portal download",
        "Requests a second for a small file, on 8 connections: from a view that only hands off, and"
        " from the portal, which looks up the session, the policy and the file, and records it.",
        "requests/s",
        baseline="bare hand-off",
        ours="portal",
        targets={"bare hand-off": 0.7},
    )
    with new_site() as site, portal() as (run, visitor):
        fill(site, 0)
        cookie = _cookie(visitor)
        path = min(visitor.files())
        with ours(site) as port:
            for _ in range(rounds):
                bare = requests_per_second(f"http://127.0.0.1:{port}/handoff/{SMALL}", seconds)
                table.add("bare hand-off", bare)
                url = f"http://127.0.0.1:{run.port}{path}"
                table.add("portal", requests_per_second(url, seconds, headers=cookie))
    yield table


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
        few, many = (f"/folders/{_fill(run, count)}" for count in (100, files))
        cookie = _cookie(visitor)
        for _ in range(rounds):
            for name, path in (("100 files", few), (f"{files:,} files", many)):
                url = f"http://127.0.0.1:{run.port}{path}"
                rate = requests_per_second(url, seconds, connections=1, headers=cookie)
                table.add(name, 1000 / rate)
    yield table


def _cookie(visitor: Visitor) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={text}" for name, text in visitor.cookies.items())}


def _fill(run: Run, count: int) -> str:
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


RECEIVER = """
import hashlib
import tempfile


def application(environ, start_response):
    hashed = hashlib.sha256()
    with tempfile.TemporaryFile(dir=SITE_ROOT) as file:
        while piece := environ["wsgi.input"].read(262144):
            hashed.update(piece)
            file.write(piece)
    start_response("204 No Content", [("X-Hash", hashed.hexdigest())])
    return []
"""


def portal_upload(*, rounds: int, size: int) -> Iterator[Table]:
    """Compare an upload in pieces with a bare WSGI loop that hashes and writes the same pieces.

    :param size: bytes in all.
    """
    table = Table(
        "upload",
        f"MB a second of an upload of {size // MIB} MiB in pieces of 64 MiB: to the portal, which"
        " checks quota and disk, hashes, writes down and enters it; and to a bare WSGI loop.",
        "MB/s",
        baseline="bare WSGI loop",
        ours="portal",
        targets={"bare WSGI loop": 0.9},
    )
    with new_site() as site, portal() as (run, visitor):
        options = (*("--processes", "1", "--threads", "5"), "--limit-request-body", str(2 * size))
        site.root.chmod(0o777)
        with express(site, RECEIVER, *options) as bare:
            growth = 0
            _send(run, visitor, 1000)  # so that all code is loaded
            daemons = uploads_daemons(run)
            before = memory_of(daemons)
            for _ in range(rounds):
                table.add("bare WSGI loop", size / 1e6 / _send_bare(bare.port, size))
                seconds, most = _send(run, visitor, size, daemons)
                growth = max(growth, most - before)
                table.add("portal", size / 1e6 / seconds)
    met = "met" if growth <= 32 * MIB else "NOT MET"
    table.notes.append(
        f"{met}: the process for uploads grew by {growth / MIB:.1f} MiB, the target ≤ 32 MiB"
    )
    yield table


_PIECE = 64 * MIB


def _send_bare(port: int, size: int) -> float:
    start = time.perf_counter()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        for offset in range(0, size, _PIECE):
            connection.request("POST", "/", bytes(min(_PIECE, size - offset)))
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 204
    return time.perf_counter() - start


def _send(run: Run, visitor: Visitor, size: int, daemons: Sequence[int] = ()) -> tuple[float, int]:
    """Upload, and return the seconds and the most memory that the daemons had after a piece."""
    fields = {"Tus-Resumable": "1.0.0", "X-CSRFToken": visitor.token("/")} | _cookie(visitor)
    name = base64.b64encode(f"{secrets.token_hex(8)}.bin".encode()).decode()
    most = 0
    start = time.perf_counter()
    with closing(http.client.HTTPConnection("127.0.0.1", run.port, timeout=120)) as connection:
        begin = {"Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
        connection.request("POST", "/uploads/", headers=fields | begin)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201, answer.status
        where = urlsplit(answer.headers["Location"]).path
        fields |= {"Content-Type": "application/offset+octet-stream"}
        for offset in range(0, size, _PIECE):
            piece = bytes(min(_PIECE, size - offset))
            at = {"Upload-Offset": str(offset)}
            connection.request("PATCH", where, piece, headers=fields | at)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 204, answer.status
            most = max(most, memory_of(daemons))
    return time.perf_counter() - start, most


@contextmanager
def copyparty(files: int, large: int) -> Iterator[str]:
    """Start copyparty with a folder of files, and return its URL.

    :param files: how many small ones there are in the folder ``many``.
    :param large: bytes of the file ``large.txt``.
    """
    with shared_folder() as folder:
        shared = folder / "files"
        (shared / "many").mkdir(parents=True)
        for number in range(files):
            (shared / "many" / f"File {number:06}.txt").write_bytes(b"x" * 1024)
        (shared / SMALL).write_bytes(b"x" * 1024)
        with (shared / LARGE).open("wb") as file:
            file.truncate(large)
        port = free_port()
        command = [sys.executable, "-m", "copyparty", "-q", "-i", "127.0.0.1", "-p", str(port)]
        command += ["-j", "2", "-v", f"{shared}::rw", "--no-thumb", "--no-robots"]
        home = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
        with process(command, port, folder, folder / "copyparty.log", home):
            yield f"http://127.0.0.1:{port}"


def beside_copyparty(*, rounds: int, seconds: float, large: int, files: int) -> Iterator[Table]:
    """Compare the portal with copyparty as a whole: small and large files, a list, an upload."""
    tables = {
        what: Table(f"copyparty, {what}", meaning, unit, baseline="copyparty", ours="portal")
        for what, meaning, unit in (
            ("small download", "Requests a second for a file of about 1 kB.", "requests/s"),
            ("large download", f"MB a second of a file of {large // MIB} MiB.", "MB/s"),
            (
                "list",
                f"Requests a second for the page of a folder of {files:,} files: the portal"
                " shows a page of it, copyparty all.",
                "requests/s",
            ),
            ("upload", f"MB a second of an upload of {large // MIB} MiB.", "MB/s"),
        )
    }
    with copyparty(files, large) as other, portal() as (run, visitor):
        cookie, own = _cookie(visitor), f"http://127.0.0.1:{run.port}"
        long = f"{own}/folders/{_fill(run, files)}"
        _send(run, visitor, large)
        uploaded = max(visitor.files(), key=lambda path: _length(run, visitor, path))
        small = min(visitor.files() - {uploaded})
        for _ in range(rounds):
            for name, urls, fields in (
                ("portal", (own + small, own + uploaded, long), cookie),
                ("copyparty", (f"{other}/{SMALL}", f"{other}/{LARGE}", f"{other}/many/"), {}),
            ):
                for what, url in zip(
                    ("small download", "large download", "list"), urls, strict=True
                ):
                    measure = bytes_per_second if what == "large download" else requests_per_second
                    scale = 1e6 if what == "large download" else 1
                    tables[what].add(name, measure(url, seconds, headers=fields) / scale)
            tables["upload"].add("portal", large / 1e6 / _send(run, visitor, large)[0])
            tables["upload"].add("copyparty", large / 1e6 / _put(other, large))
    yield from tables.values()


def _length(run: Run, visitor: Visitor, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", run.port, timeout=60)) as connection:
        connection.request("HEAD", path, headers=_cookie(visitor))
        return int(connection.getresponse().headers["Content-Length"])


def _put(base: str, size: int) -> float:
    start = time.perf_counter()
    with closing(http.client.HTTPConnection(base.partition("//")[2], timeout=300)) as connection:
        connection.request("PUT", f"/{secrets.token_hex(8)}.bin", bytes(size))
        answer = connection.getresponse()
        answer.read()
        assert answer.status in {200, 201}, answer.status
    return time.perf_counter() - start
