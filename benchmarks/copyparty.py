"""copyparty, and the portal beside it as a whole."""

from __future__ import annotations

import http.client
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from flask_delegate.testing.apache import free_port
from tests.support.portal_process import Run, shared_folder
from tests.support.processes import process
from tests.support.visitors import Visitor

from .load import bytes_per_second, requests_per_second
from .people import cookie_of, fill_folder, portal
from .results import Table
from .servers import LARGE, SMALL
from .uploads import send

MIB = 1024**2


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
        what: Table(
            f"copyparty, {what}",
            meaning,
            unit,
            baseline="copyparty",
            ours="portal",
            targets={"copyparty": 1.5} if what == "list" else {},
        )
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
        cookie, own = cookie_of(visitor), f"http://127.0.0.1:{run.port}"
        long = f"{own}/folders/{fill_folder(run, files)}"
        send(run, visitor, large)
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
            tables["upload"].add("portal", large / 1e6 / send(run, visitor, large)[0])
            tables["upload"].add("copyparty", large / 1e6 / _put(other, large))
    yield from tables.values()


def _length(run: Run, visitor: Visitor, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", run.port, timeout=60)) as connection:
        connection.request("HEAD", path, headers=cookie_of(visitor))
        return int(connection.getresponse().headers["Content-Length"])


def _put(base: str, size: int) -> float:
    start = time.perf_counter()
    with closing(http.client.HTTPConnection(base.partition("//")[2], timeout=300)) as connection:
        connection.request("PUT", f"/{secrets.token_hex(8)}.bin", bytes(size))
        answer = connection.getresponse()
        answer.read()
        assert answer.status in {200, 201}, answer.status
    return time.perf_counter() - start
