"""Uploads: of one large file in pieces, and of many small ones by the tray."""

from __future__ import annotations

import base64
import http.client
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from urllib.parse import urlsplit

from tests.support.portal_process import Run, uploads_daemons
from tests.support.processes import memory_of
from tests.support.sites import express, new_site
from tests.support.visitors import Visitor

from .people import cookie_of, portal
from .results import Table

MIB = 1024**2

RECEIVER = """
import hashlib
import os
import tempfile


def application(environ, start_response):
    hashed = hashlib.sha256()
    with tempfile.TemporaryFile(dir=SITE_ROOT) as file:
        while piece := environ["wsgi.input"].read(262144):
            hashed.update(piece)
            file.write(piece)
        file.flush()
        os.fdatasync(file.fileno())
    start_response("204 No Content", [("X-Hash", hashed.hexdigest())])
    return []
"""


def portal_upload(*, rounds: int, size: int) -> Iterator[Table]:
    """Compare an upload in pieces with a bare WSGI loop that hashes and syncs the same pieces.

    :param size: bytes in all.
    """
    table = Table(
        "upload",
        f"MB a second of an upload of {size // MIB} MiB in pieces of 64 MiB: to the portal, which"
        " checks quota and disk, hashes, syncs and records it; and to a bare WSGI loop that hashes"
        " and syncs each piece.",
        "MB/s",
        baseline="bare WSGI loop",
        ours="portal",
        targets={"bare WSGI loop": 0.95},
    )
    with new_site() as site, portal() as (run, visitor):
        options = (*("--processes", "1", "--threads", "5"), "--limit-request-body", str(2 * size))
        site.root.chmod(0o777)
        with express(site, RECEIVER, *options) as bare:
            growth = 0
            send(run, visitor, 1000)  # so that all code is loaded
            daemons = uploads_daemons(run)
            before = memory_of(daemons)
            for _ in range(rounds):
                table.add("bare WSGI loop", size / 1e6 / _send_bare(bare.port, size))
                seconds, most = send(run, visitor, size, daemons)
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


def send(
    run: Run, visitor: Visitor, size: int, daemons: Sequence[int] = (), called: str = "large.bin"
) -> tuple[float, int]:
    """Upload, and return the seconds and the most memory that the daemons had after a piece."""
    fields = {"Tus-Resumable": "1.0.0", "X-CSRFToken": visitor.token("/")} | cookie_of(visitor)
    name = base64.b64encode(called.encode()).decode()
    most, looking = 0, 0.0
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
            looked = time.perf_counter()
            most = max(most, memory_of(daemons))
            looking += time.perf_counter() - looked
    return time.perf_counter() - start - looking, most
