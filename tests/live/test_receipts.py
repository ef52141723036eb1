"""How a download ended, from the logs of real servers."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from flask_delegate.receipts import Receipt, follow, read
from flask_delegate.servers.caddy import log_block
from tests.support.application import APPLICATION
from tests.support.caddies import caddy_in_front
from tests.support.clients import connect, file_url, get, over_http2, request_over_http2
from tests.support.lighttpds import lighttpd_in_front
from tests.support.nginxes import nginx_in_front
from tests.support.python_servers import GUNICORN, python_server
from tests.support.sites import DAEMON_USER, Site, express

LARGE = 40 * 2**20  # more than the sockets' buffers hold


@dataclass
class Logging:
    """A server that writes receipts."""

    port: int
    log: Path
    forgets_errors: bool = False

    def receipts(self, count: int) -> list[Receipt]:
        """Wait for so many lines: a server writes one when a connection is done with."""
        deadline = time.monotonic() + 30
        found: list[Receipt] = []
        while time.monotonic() < deadline and len(found) < count:
            found = list(read(self.log)) if self.log.exists() else []
            time.sleep(0.05)
        assert len(found) == count
        return found


def give_to_server(log: Path) -> None:
    """Create a log that a server without root's rights can write to."""
    log.touch()
    if DAEMON_USER:
        shutil.chown(log, DAEMON_USER)


@pytest.fixture(params=["apache", "nginx", "caddy", "lighttpd"])
def server(request: pytest.FixtureRequest, site: Site) -> Iterator[Logging]:
    site.write("report.txt")
    with site.write("large.bin").open("r+b") as file:
        file.truncate(LARGE)
    log = site.folder / "receipts.log"
    if request.param == "apache":
        include = site.apache_config("--receipts", str(log))
        options = ("--enable-sendfile", "--http2")
        with express(site, APPLICATION, *options, include=include) as running:
            yield Logging(running.port, log)
    elif request.param == "caddy":
        site.settings["DELEGATE_BACKEND"] = "caddy"
        give_to_server(log)
        include, around = (
            site.config("caddy", "--receipts", str(log)),
            "\n".join(log_block(str(log))),
        )
        with (
            python_server(site, *GUNICORN) as upstream,
            caddy_in_front(site, upstream, include, around=around) as port,
        ):
            yield Logging(port, log)
    elif request.param == "lighttpd":
        site.settings["DELEGATE_BACKEND"] = "lighttpd"
        give_to_server(log)
        include = site.config("lighttpd", "--receipts", str(log))
        with (
            python_server(site, *GUNICORN) as upstream,
            lighttpd_in_front(site, upstream, include) as port,
        ):
            yield Logging(port, log, forgets_errors=True)
    else:
        site.settings["DELEGATE_BACKEND"] = "nginx"
        include = site.nginx_config("--receipts", str(log))
        with (
            python_server(site, *GUNICORN) as upstream,
            nginx_in_front(site, upstream, include) as port,
        ):
            yield Logging(port, log)


def cut(port: int, target: str, *, after: int) -> int:
    """Ask for a file, read a part of it, and hang up."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.connect(("127.0.0.1", port))
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = 0
        while received < after:
            received += len(connection.recv(65536))
    return received


def test_each_end_of_a_download_is_told(server: Logging) -> None:
    url = file_url("report.txt")
    whole = get(server.port, url)
    # A server writes its line once it has answered: the next request could be faster.
    server.receipts(1)
    get(server.port, url, headers={"Range": "bytes=8-"})
    server.receipts(2)
    get(server.port, url, headers={"If-None-Match": whole["ETag"]})
    server.receipts(3)
    get(server.port, url, method="HEAD")
    server.receipts(4)
    get(server.port, url, headers={"Range": "bytes=99-"})
    get(server.port, "/")
    get(server.port, file_url("missing.txt"))
    # lighttpd has forgotten which download it was when it answers with an error.
    count = 4 if server.forgets_errors else 5
    found = server.receipts(count)
    facts = [(one.status, one.sent, one.part, one.outcome) for one in found]
    assert facts[:4] == [
        (200, 16, None, "completed"),
        (206, 8, (8, 15, 16), "completed"),
        (304, 0, None, "completed"),
        (200, 0, None, "completed"),
    ]
    assert [(one[0], one[3]) for one in facts[4:]] == [(416, "failed")][: count - 4]
    assert [one.method for one in found] == ["GET", "GET", "GET", "HEAD", "GET"][:count]
    assert len({one.id for one in found}) == count
    assert abs(found[0].time.timestamp() - time.time()) < 60


def test_a_download_that_was_cut_short_is_told_with_an_upper_bound(server: Logging) -> None:
    received = cut(server.port, file_url("large.bin"), after=2**20)
    (found,) = server.receipts(1)
    assert (found.status, found.outcome) == (200, "cut short")
    assert 2**20 - 65536 < received <= found.sent + 65536
    assert found.sent < LARGE


def test_a_large_download_that_arrived_is_completed(server: Logging) -> None:
    assert len(get(server.port, file_url("large.bin")).body) == LARGE
    (found,) = server.receipts(1)
    assert (found.sent, found.outcome) == (LARGE, "completed")


@pytest.mark.parametrize("server", ["caddy", "lighttpd"], indirect=True)
def test_a_file_that_becomes_shorter_is_cut_short(server: Logging) -> None:
    file = server.log.parent / "files/large.bin"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(f"GET {file_url('large.bin')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = len(connection.recv(65536))
        os.truncate(file, 2**20)
        with suppress(ConnectionError):
            while chunk := connection.recv(2**20):
                received += len(chunk)
    (found,) = server.receipts(1)
    assert (found.status, found.outcome) == (200, "cut short")
    assert received - 1000 < found.sent < LARGE


@pytest.mark.parametrize("server", ["caddy"], indirect=True)
def test_caddys_log_may_be_copied_and_truncated(server: Logging) -> None:
    ask: list[Callable[[], object]] = [
        lambda: get(server.port, file_url("report.txt")),
        lambda: shutil.copyfile(server.log, f"{server.log}.1"),
        lambda: os.truncate(server.log, 0),
        lambda: get(server.port, file_url("report.txt")),
    ]

    def wait() -> None:
        if ask:
            ask.pop(0)()
        time.sleep(0.2)

    followed = follow(server.log, wait=wait)
    (first,), _ = next(followed)
    (second,), _ = next(followed)
    assert first.id != second.id
    assert server.log.read_bytes().startswith(b"{")
    followed.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("server", ["apache"], indirect=True)
def test_a_client_of_http2_may_hang_up_as_soon_as_it_has_everything(server: Logging) -> None:
    asked = 0
    # Until Apache itself has taken one for cut short: the other sign is needed then.
    while asked < 600 and (asked == 0 or " end=X " not in server.log.read_text()):
        for _ in range(60):
            assert over_http2(server.port, file_url("report.txt"))[0] == 200
        asked += 60
        found = server.receipts(asked)
    assert {(one.sent, one.outcome) for one in found} == {(16, "completed")}
    assert " end=X " in server.log.read_text()


@pytest.mark.parametrize("server", ["apache"], indirect=True)
def test_a_download_over_http2_that_was_cut_short_is_told(server: Logging) -> None:
    with connect(server.port) as connection:
        _, request = request_over_http2(file_url("large.bin"))
        connection.sendall(request)
        received = 0
        while received < 60_000:
            received += len(connection.recv(65536))
    (found,) = server.receipts(1)
    assert (found.status, found.outcome) == (200, "cut short")
    assert received - 1000 < found.sent < LARGE


def test_the_id_is_the_one_that_the_signal_gave(site: Site) -> None:
    site.write("report.txt")
    log, ids = site.folder / "receipts.log", site.folder / "ids"
    ids.write_text("")
    ids.chmod(0o666)
    listening = f"""
from flask_delegate import file_delegated

def note(sender, delivery, backend):
    with open({str(ids)!r}, "a") as file:
        file.write(delivery.id + "\\n")

file_delegated.connect(note, weak=False)
"""
    include = site.apache_config("--receipts", str(log))
    with express(site, APPLICATION + listening, include=include) as running:
        for count in (1, 2, 3):
            get(running.port, file_url("report.txt"))
            found = Logging(running.port, log).receipts(count)
    assert [one.id for one in found] == ids.read_text().split()


def test_a_log_is_followed_through_the_servers_rotation(site: Site) -> None:
    """As logrotate does it: rename, then have Apache open its logs anew."""
    site.write("report.txt")
    log = site.folder / "receipts.log"
    include = site.apache_config("--receipts", str(log))
    with express(site, APPLICATION, include=include) as running:
        ask: list[Callable[[], object]] = [
            lambda: get(running.port, file_url("report.txt")),
            lambda: log.rename(site.folder / "receipts.log.1"),
            lambda: get(running.port, file_url("report.txt")),
            lambda: log.touch(),
        ]

        def wait() -> None:
            if ask:
                ask.pop(0)()
            time.sleep(0.2)

        followed = follow(log, wait=wait)
        (first,), _ = next(followed)
        (second,), _ = next(followed)
        assert first.id != second.id
        followed.close()  # type: ignore[attr-defined]
