"""Downloads that the server, the disk or a time-out breaks off, from the logs of real servers."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse, IncompleteRead

import h2.events
import pytest

from flask_delegate.receipts import NGINX_FORMAT, Receipt, read
from flask_delegate.testing.apache import free_port
from tests.support.apaches import make_certificate
from tests.support.application import APPLICATION
from tests.support.clients import connect, file_url, request_over_http2
from tests.support.nginxes import nginx_in_front
from tests.support.python_servers import GUNICORN, python_server
from tests.support.running import HOST
from tests.support.sites import Site, express, new_site

SIZE = 16 * 2**20  # more than the sockets' buffers hold
RANGES = {
    "the whole": {},
    "a part": {"range": "bytes=1000-"},
    "two parts": {"range": f"bytes=0-999,2000-{SIZE - 1}"},
}


@dataclass
class Way:
    """A way to ask a server, which writes receipts and waits two seconds for a slow client."""

    site: Site
    port: int
    tls: bool = False
    http2: bool = False

    @property
    def file(self) -> str:
        return str(self.site.root / "large.bin")

    def receipt(self, meanwhile: Callable[[], object], **headers: str) -> Receipt:
        """Download, do something when some has arrived, and return how it ended."""
        before = len(self.receipts())
        self.write()
        self.ask(meanwhile, headers)
        return self.receipts(before + 1)[before]

    def write(self) -> None:
        with open(self.file, "wb") as file:  # noqa: PTH123
            file.truncate(SIZE)

    def receipts(self, count: int = 0) -> list[Receipt]:
        """Return the receipts there are, after waiting for so many."""
        log = self.site.folder / "receipts.log"
        deadline = time.monotonic() + 20
        while len(found := list(read(log)) if log.exists() else []) < count:
            assert time.monotonic() < deadline, "no receipt"
            time.sleep(0.05)
        return found

    def ask(self, meanwhile: Callable[[], object], headers: dict[str, str]) -> None:
        protocol, ask = ("h2", self._over_http2) if self.http2 else ("http/1.1", self._over_http1)
        connecting = connect(self.port, tls=self.tls, protocol=protocol)
        with suppress(OSError, IncompleteRead), connecting as connection:
            ask(connection, meanwhile, headers)

    def _over_http1(
        self, connection: socket.socket, meanwhile: Callable[[], object], headers: dict[str, str]
    ) -> None:
        fields = {"Host": HOST, "Connection": "close", **headers}
        lines = [f"GET {file_url('large.bin')} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        response = HTTPResponse(connection)
        response.begin()
        response.read(50_000)
        meanwhile()
        response.read()

    def _over_http2(
        self, connection: socket.socket, meanwhile: Callable[[], object], headers: dict[str, str]
    ) -> None:
        h2c, request = request_over_http2(file_url("large.bin"), headers, host=HOST)
        received, is_done, is_cut = 0, False, False
        connection.sendall(request)
        while not is_done and (data := connection.recv(65536)):
            for event in h2c.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    received += len(event.data)
                    h2c.acknowledge_received_data(event.flow_controlled_length, 1)
                is_done |= isinstance(event, h2.events.StreamEnded | h2.events.StreamReset)
            if received > 50_000 and not is_cut:
                is_cut = True
                meanwhile()
            connection.sendall(h2c.data_to_send())


@contextmanager
def apache() -> Iterator[dict[str, Way]]:
    with new_site() as site:
        make_certificate(site.folder)
        port = free_port()
        options = ["--http2", "--enable-sendfile", "--socket-timeout", "2", "--https-port"]
        options += [str(port), "--server-name", HOST, "--ssl-certificate", f"{site.folder}/server"]
        include = site.apache_config("--receipts", f"{site.folder}/receipts.log")
        with express(site, APPLICATION, *options, include=include) as running:
            yield {
                "apache": Way(site, running.port),
                "apache, TLS": Way(site, port, tls=True),
                "apache, HTTP/2": Way(site, port, tls=True, http2=True),
            }


@contextmanager
def nginx() -> Iterator[dict[str, Way]]:
    with new_site(DELEGATE_BACKEND="nginx") as site, ExitStack() as stack:
        make_certificate(site.folder)
        names = [f"{site.folder}/server.{kind}" for kind in ("crt", "key")]
        plain = site.nginx_config("--receipts", f"{site.folder}/receipts.log") + "send_timeout 2s;"
        secure = "{}\nssl_certificate {};\nssl_certificate_key {};".format(plain, *names)
        upstream = stack.enter_context(python_server(site, *GUNICORN))
        http = f"log_format flask_delegate '{NGINX_FORMAT}'; access_log off;"

        def start(include: str, listen: str = "") -> int:
            started = nginx_in_front(site, upstream, include, http=http, listen=listen)
            return stack.enter_context(started)

        yield {
            "nginx": Way(site, start(plain)),
            "nginx, HTTP/2": Way(site, start(secure, "ssl http2"), tls=True, http2=True),
        }


@pytest.fixture(scope="module")
def ways() -> Iterator[dict[str, Way]]:
    with apache() as first, nginx() as second:
        yield first | second


@pytest.fixture(params=["apache", "apache, TLS", "apache, HTTP/2", "nginx", "nginx, HTTP/2"])
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    return ways[request.param]


@pytest.mark.parametrize("headers", RANGES.values(), ids=list(RANGES))
def test_a_file_that_is_cut_while_it_is_sent_is_not_completed(
    way: Way, headers: dict[str, str]
) -> None:
    found = way.receipt(lambda: os.truncate(way.file, SIZE * 3 // 4), **headers)
    assert found.outcome == "cut short"
    assert 50_000 < found.sent < SIZE * 7 // 8
    found = way.receipt(lambda: os.truncate(way.file, SIZE - 100), **headers)
    assert found.outcome in ("cut short", "unknown")
    assert way.receipt(lambda: None, **headers).outcome == "completed"


def test_a_file_that_is_deleted_or_replaced_by_a_larger_one_is_sent_to_its_end(way: Way) -> None:
    def replace() -> None:
        with open(f"{way.file}.new", "wb") as file:  # noqa: PTH123
            file.truncate(SIZE + 1)
        os.replace(f"{way.file}.new", way.file)  # noqa: PTH105

    for change in (lambda: os.unlink(way.file), replace):  # noqa: PTH108
        found = way.receipt(change)
        assert (found.outcome, found.sent) == ("completed", SIZE)


def test_clients_that_read_too_slowly_are_cut_short(ways: dict[str, Way]) -> None:
    before = {name: len(way.receipts()) for name, way in ways.items()}
    for way in ways.values():
        way.write()
    with ThreadPoolExecutor() as pool:
        for way in ways.values():
            pool.submit(way.ask, lambda: time.sleep(6), {})
    for server, count in (("apache", 3), ("nginx", 2)):
        found = ways[server].receipts(before[server] + count)[before[server] :]
        assert [one.outcome for one in found] == ["cut short"] * count
        assert max(one.sent for one in found) < SIZE
