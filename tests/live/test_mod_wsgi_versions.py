"""Hand-off, guard and receipts with each major version of mod_wsgi that people have."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flask_delegate.receipts import Receipt, read
from tests.support.apaches import debian_site, debians_module, pips_module
from tests.support.clients import everything, file_url
from tests.support.doctor import findings
from tests.support.paths import PROJECT
from tests.support.receipts import receipts_in_order
from tests.support.running import Running
from tests.support.sites import Site, new_site
from tests.support.spellings import MARK, attacks

NAME = "report.txt"
PINNED = "5.0.2"
"""The newest 5, which Debian 13 has: its apt has no other, and pip's newest is a 6."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a version of mod_wsgi in a folder of its own, and return the module."""
    folder = tmp_path_factory.mktemp("mod_wsgi")
    words = ["--quiet", "--no-deps", "--no-cache-dir", "--no-build-isolation", "--use-pep517"]
    command = [sys.executable, "-m", "pip", "install", *words, "--target", str(folder)]
    subprocess.run([*command, f"mod_wsgi=={PINNED}"], check=True, timeout=120)
    (module,) = folder.glob("mod_wsgi/server/mod_wsgi-*.so")
    return module


@dataclass
class Serving:
    """A server that writes receipts."""

    site: Site
    running: Running
    major: str

    def version(self) -> str:
        """Return mod_wsgi's version, as Apache tells it when it has started."""
        (log,) = self.site.folder.glob("apache-*/run/error.log")
        deadline = time.monotonic() + 30
        # It listens before it tells.
        while not (found := re.search(r"mod_wsgi/(\S+)", log.read_text())):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return found[1]

    def receipts(self) -> list[Receipt]:
        return list(read(self.site.folder / "receipts.log"))


@pytest.fixture(scope="module", params=["4", "5", "6"])
def serving(request: pytest.FixtureRequest) -> Iterator[Serving]:
    modules = {"4": debians_module, "6": pips_module}
    if request.param == "5":
        path = request.getfixturevalue("built")
        modules["5"] = lambda: f"LoadModule wsgi_module {path}\n"
    with new_site() as site:
        site.write(NAME, MARK)
        with site.write("large.bin").open("r+b") as file:
            file.truncate(40 * 2**20)
        options = ("--receipts", f"{site.folder}/receipts.log")
        with debian_site(site, module=modules[request.param], options=options) as running:
            yield Serving(site, running, request.param)


def test_the_documentation_names_the_version(serving: Serving) -> None:
    page = (PROJECT / "docs/extension/apache.md").read_text()
    assert f"| {serving.version()} |" in page
    assert serving.version().startswith(f"{serving.major}.")


def test_nothing_is_wrong_with_it(serving: Serving) -> None:
    url = f"http://127.0.0.1:{serving.running.port}/"
    found = findings(serving.site.configure(), url, "--host", serving.running.host)
    assert {one["level"] for one in found.values()} <= {"ok", "skipped"}
    for check in ("guard", "handoff", "longest-path", "range", "conditional"):
        assert found[check]["level"] == "ok"


def test_a_file_is_handed_off_with_its_policies(serving: Serving) -> None:
    for mount in ("", "/second"):
        url = mount + file_url(NAME, download_name="ü.pdf", max_age=60, csp="sandbox")
        reply = serving.running.get(url)
        assert (reply.status, reply.body) == (200, MARK)
        assert (
            reply["Content-Disposition"]
            == "inline; filename=\"u.pdf\"; filename*=UTF-8''%C3%BC.pdf"
        )
        assert reply["Content-Type"] == "application/pdf"
        assert reply["Cache-Control"] == "private, max-age=60"
        assert reply["Content-Security-Policy"] == "sandbox"
        assert "Location" not in reply.headers
        again = serving.running.get(url, headers={"If-None-Match": reply["ETag"]})
        part = serving.running.get(url, headers={"Range": "bytes=0-3"})
        head = serving.running.get(url, method="HEAD")
        assert (again.status, part.status, part.body) == (304, 206, MARK[:4])
        assert (head.status, head.body, head["Content-Length"]) == (200, b"", str(len(MARK)))


def test_a_long_body_that_is_left_unread_costs_no_file(serving: Serving) -> None:
    for _ in range(5):
        reply = serving.running.get(file_url(NAME), method="POST", body=b"a" * 5 * 2**20)
        assert (reply.status, reply.body) == (200, MARK)


def test_no_request_gets_the_file_without_the_application(serving: Serving) -> None:
    answers = {one.to(): everything(serving.running.port, one.to()) for one in attacks(NAME)}
    assert len(answers) > 150
    assert [request for request, answer in answers.items() if MARK in answer] == []
    assert serving.running.get(f"/private/{NAME}").status == 403
    query = f"k={serving.site.token()}&id=0123456789abcdef&ct=text/plain&cd=inline"
    assert serving.running.get(f"/private/{NAME}?{query}").status == 403


def test_an_application_cannot_be_led_to_another_location(serving: Serving) -> None:
    reply = serving.running.get(f"/elsewhere?to=/private/{NAME}")
    assert MARK not in reply.body


def test_receipts_tell_how_a_download_ended(serving: Serving) -> None:
    running, url = serving.running, file_url(NAME)

    def cut() -> None:
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            target = file_url("large.bin")
            request = f"GET {target} HTTP/1.1\r\nHost: {running.host}\r\n\r\n"
            connection.sendall(request.encode())
            connection.recv(1000)

    whole, part, broken = receipts_in_order(
        serving.receipts,
        (
            lambda: running.get(url),
            lambda: running.get(url, headers={"Range": "bytes=0-3"}),
            cut,
        ),
    )
    assert (whole.status, whole.sent, whole.outcome) == (200, len(MARK), "completed")
    assert (part.status, part.part, part.outcome) == (206, (0, 3, len(MARK)), "completed")
    assert (broken.status, broken.outcome) == (200, "cut short")
