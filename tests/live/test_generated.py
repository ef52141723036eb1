"""A generated file is made once, fetched with resume, and goes when all of it was sent."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

import pytest

from flask_delegate.receipts import read
from flask_delegate.resolve import GENERATED
from flask_delegate.spool import Spool
from tests.support.clients import Reply, get
from tests.support.examples import example, served, session_cookie
from tests.support.extension import SECRET
from tests.support.nginxes import nginx_in_front
from tests.support.python_servers import GUNICORN, python_server
from tests.support.sites import DAEMON_USER, Site, express, new_site

LINES = 500_000
URL = "/report/2026.csv"


@dataclass
class Reports:
    """The example on a server that writes receipts."""

    site: Site
    port: int
    log: Path
    cookie: str

    def ask(self, **headers: str) -> Reply:
        fields = {"Cookie": self.cookie, **headers}
        return get(self.port, URL, headers={k.replace("_", "-"): v for k, v in fields.items()})

    def files(self) -> set[str]:
        return {one.name for one in Spool(self.site.root / GENERATED, 0, 0).files()}

    def begin(self, received: int) -> tuple[bytes, str]:
        """Read so much of it, hang up, and return what came, and its ETag."""
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.connect(("127.0.0.1", self.port))
            head = f"GET {URL} HTTP/1.1\r\nHost: x\r\nCookie: {self.cookie}\r\n\r\n"
            connection.sendall(head.encode())
            response = HTTPResponse(connection)
            response.begin()
            assert response.status == 200
            return response.read(received), str(response.headers["ETag"])

    def wait(self, count: int) -> None:
        """Wait for so many receipts: a server writes one when a connection is done with."""
        deadline, found = time.monotonic() + 30, 0
        while time.monotonic() < deadline and found < count:
            found = len(list(read(self.log))) if self.log.exists() else 0
            time.sleep(0.05)
        assert found == count

    def clean(self) -> str:
        """Run the command as an operator's timer would, as the application's user."""
        environment = {"FLASK_SECRET_KEY": SECRET, "FLASK_DELEGATE_ROOT": str(self.site.root)}
        command = [sys.executable, "-m", "flask", "--app", "report", "delegate"]
        command += ["clean-generated", str(self.log), "--keep", "0"]
        done = subprocess.run(
            command,
            user=(self.site.root / GENERATED).stat().st_uid if os.geteuid() == 0 else None,
            cwd=self.site.app,
            env={**os.environ, **environment, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            check=True,
        )
        return done.stdout.decode()


@pytest.fixture(scope="module", params=["apache", "nginx"])
def reports(request: pytest.FixtureRequest) -> Iterator[Reports]:
    with new_site() as site:
        if DAEMON_USER:
            shutil.chown(site.root, DAEMON_USER)
        (site.app / "report.py").write_text(example("report"))
        log, cookie = site.folder / "receipts.log", session_cookie(accountant=1)
        settings = {"LINES": str(LINES)}
        if request.param == "apache":
            include = site.apache_config("--receipts", str(log))
            application = served(site, example("report"), **settings)
            with express(site, application, "--enable-sendfile", include=include) as running:
                yield Reports(site, running.port, log, cookie)
        else:
            site.settings["DELEGATE_BACKEND"] = "nginx"
            include = site.nginx_config("--receipts", str(log))
            site.application = served(site, example("report"), **settings)
            with (
                python_server(site, *GUNICORN) as upstream,
                nginx_in_front(site, upstream, include) as port,
            ):
                yield Reports(site, port, log, cookie)


def test_a_report_is_made_once_fetched_with_resume_and_deleted(reports: Reports) -> None:
    assert get(reports.port, URL).status == 403
    assert reports.files() == set()
    beginning, etag = reports.begin(2_000_000)
    assert not etag.startswith("W/")
    (name,) = reports.files()
    reports.wait(1)
    # It was cut short, and stays.
    assert reports.clean() == "default: 0 files deleted, 0 bytes.\n"
    middle = reports.ask(Range="bytes=2000000-9999999", If_Range=etag)
    assert (middle.status, len(middle.body), middle["ETag"]) == (206, 8_000_000, etag)
    reports.wait(2)
    assert reports.clean() == "default: 0 files deleted, 0 bytes.\n"
    rest = reports.ask(Range="bytes=10000000-", If_Range=etag)
    assert rest["Content-Disposition"] == 'attachment; filename="report-2026.csv"'
    whole = beginning + middle.body + rest.body
    assert whole == (reports.site.root / GENERATED / name).read_bytes()
    assert whole.count(b"\r\n") == LINES + 1
    assert whole.startswith(b"number,year,amount\r\n0,2026,0.00 EUR\r\n1,2026,7919.00 EUR\r\n")
    assert rest["Content-Range"].endswith(f"/{len(whole)}")
    assert reports.files() == {name}
    reports.wait(3)
    time.sleep(1)  # a receipt has whole seconds
    assert reports.clean() == f"default: 1 files deleted, {len(whole)} bytes.\n"
    assert reports.files() == set()
    # Who resumes now gets a new one, whole.
    again = reports.ask(Range="bytes=10000000-", If_Range=etag)
    assert (again.status, again.body == whole) == (200, True)
    assert reports.files().isdisjoint({name})


@pytest.mark.parametrize("target", ["/private/", "//private/", "/%70rivate/"])
def test_the_folder_is_closed(reports: Reports, target: str) -> None:
    reports.ask(Range="bytes=0-0")
    (name,) = reports.files()
    for path in (GENERATED, f"{GENERATED}/", f"{GENERATED}/{name}", f"{GENERATED}/lock"):
        assert get(reports.port, target + path).status in (403, 404)
