"""Stores that refuse, are silent, stall or die, behind real servers."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from flask_delegate.receipts import Receipt, read
from flask_delegate.servers import SERVERS
from tests.support.clients import Reply, connect, get
from tests.support.running import Running
from tests.support.sites import Site, express, new_site
from tests.support.store_area import APPLICATION, SERVE, settings_for, url_of
from tests.support.store_settings import URL
from tests.support.stores import Misbehaving, RunningStore, misbehaving, seaweedfs
from tests.support.stores.misbehaving import HOSTILE, HOSTILE_BODY

KEY = "folder/secret-name.txt"
# What the rules wait for; the tests need not wait so long.
BRIEF = {
    "connectiontimeout=3 timeout=20": "connectiontimeout=3 timeout=2",
    "proxy_read_timeout 20s": "proxy_read_timeout 2s",
}
IMPATIENT = APPLICATION.replace(
    "from flask_delegate import",
    "from flask_delegate.stores import client\nclient.IDLE = client._BRIEF = 2\n"
    "from flask_delegate import",
    1,
)


@contextmanager
def serving(
    server: str,
    store: Misbehaving | RunningStore,
    *options: str,
    application: str = IMPATIENT,
    **area: Any,
) -> Iterator[tuple[Running, Site]]:
    """Serve a store's objects by a server that waits two seconds for it, and writes receipts."""
    backend = {"backend": "nginx"} if server == "nginx" else {}
    with (
        new_site(**settings_for(store, **backend, **area)) as site,
        pytest.MonkeyPatch.context() as patch,
    ):
        site.write("report.txt")
        (site.folder / "logs").mkdir()
        (site.folder / "logs").chmod(0o777)
        for name in ("apache_config", "nginx_config"):
            written = getattr(site, name)
            patch.setattr(site, name, lambda *given, write=written: _brief(write(*given)))
        log = () if server == "stream" else ("--receipts", str(site.folder / "logs/receipts"))
        with SERVE[server](site, *log, *options, application=application) as running:
            yield running, site


def _brief(text: str) -> str:
    for usual, brief in BRIEF.items():
        text = text.replace(usual, brief)
    return text


def receipts(site: Site, count: int) -> list[Receipt]:
    """Return the receipts there are, after waiting for so many."""
    log, deadline = site.folder / "logs/receipts", time.monotonic() + 20
    while len(found := list(read(log)) if log.exists() else []) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def check_page(reply: Reply) -> None:
    """It is short, says nothing of the store, is not saved as the file, and not kept."""
    shown = (reply.body + str(reply.headers).encode()).lower()
    for secret in (
        "files",
        "secret-name",
        "nosuchkey",
        "<error>",
        "x-amz",
        "key-id",
        "accessdenied",
    ):
        assert secret.encode() not in shown
    assert 0 < len(reply.body) < 600
    assert "Content-Disposition" not in reply.headers
    assert reply.get("Cache-Control") in ("no-store", "private, no-cache")


STATUSES = {
    "refuses": {"apache": 503, "nginx": 503, "stream": 503},
    "silent": {"apache": 502, "nginx": 503, "stream": 503},
    # nginx takes it for an answer of HTTP/0.9, and passes it on.
    "garbage": {"apache": 502, "stream": 503},
    # Apache passes redirects on: docs/extension/stores.md says so.
    "301": {"nginx": 503, "stream": 503},
    "507": {"apache": 507, "nginx": 503, "stream": 503},
    "403": {"apache": 403, "nginx": 503, "stream": 503},
    "404": {"apache": 404, "nginx": 404, "stream": 404},
    "500": {"apache": 500, "nginx": 503, "stream": 503},
    "503": {"apache": 503, "nginx": 503, "stream": 503},
}


@pytest.mark.parametrize(
    ("how", "server"), [(how, server) for how in STATUSES for server in STATUSES[how]]
)
def test_a_store_that_does_not_have_the_file_sent(how: str, server: str) -> None:
    with misbehaving(how) as store, serving(server, store) as (running, site):
        for method, headers in (("GET", {}), ("GET", {"Range": "bytes=0-9"}), ("HEAD", {})):
            began = time.monotonic()
            reply = running.get(url_of(KEY), method=method, headers=headers)
            assert time.monotonic() - began < 6
            # Apache's HEAD is answered by the application.
            answers = "stream" if server == "apache" and method == "HEAD" else server
            assert reply.status == STATUSES[how][answers]
            if method == "GET":
                check_page(reply)
            if reply.status >= 500:
                assert reply.get("Retry-After") == "30"
        assert running.get("/").body == b"home"
        assert running.get("/file/report.txt").status == 200
        if server != "stream":
            outcomes = [one.outcome for one in receipts(site, 3)]
            assert outcomes[:2] == ["failed", "failed"]


@pytest.mark.parametrize("server", SERVE)
@pytest.mark.parametrize("how", ["stalls", "cuts"])
def test_a_store_that_breaks_a_download_off(how: str, server: str) -> None:
    with misbehaving(how) as store, serving(server, store) as (running, site):
        with connect(running.port) as connection:
            connection.sendall(f"GET {url_of(KEY)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            response = HTTPResponse(connection)
            response.begin()
            assert (response.status, response.getheader("Content-Length")) == (200, "1000000")
            assert running.get("/").body == b"home"
            with pytest.raises(IncompleteRead) as broken:
                response.read()
            # nginx sends pieces as large as its buffers.
            assert broken.value.partial in (b"x" * 1000, b"" if server == "nginx" else None)
        if server != "stream":
            (receipt,) = receipts(site, 1)
            assert (receipt.outcome, receipt.status) == ("cut short", 200)
            assert receipt.sent <= 1000


@pytest.mark.parametrize("server", SERVE)
def test_what_a_store_says_beside_the_bytes(server: str) -> None:
    with misbehaving("headers") as store, serving(server, store) as (running, _):
        headers = {"Cookie": "session=private", "Authorization": "Basic x", "X-Own": "1"}
        headers |= {"Referer": "http://site/private", "Accept-Encoding": "gzip"}
        headers |= {"If-Range": 'W/"x"'}
        headers |= {"Range": "bytes=0-1", "If-None-Match": '"y"', "X-Forwarded-For": "10.0.0.1"}
        reply = running.get(url_of(KEY), headers=headers)
        assert (reply.status, reply.body) == (200, HOSTILE_BODY)
        # Object metadata that nobody named, and a coding without which the bytes are unreadable.
        kept = {"content-encoding", "x-amz-meta-owner", "connection", "content-disposition"}
        for name, value in HOSTILE.items():
            if name.lower() not in kept:
                assert reply.headers.get_all(name) in (None, []), name
            elif name == "Content-Disposition":
                assert reply.get(name) != value
        assert reply.get("Content-Type") == "text/plain; charset=utf-8"
        assert len(reply.headers.get_all("Content-Type") or []) == 1
        assert reply.get("Cache-Control") == "private, no-cache"
        (asked,) = store.requests
        came = dict(asked.headers)
        assert came["host"] == f"127.0.0.1:{store.port}"
        assert came["if-none-match"] == '"y"'
        allowed = {"host", "connection", "if-none-match", "accept", "user-agent", "accept-encoding"}
        # Apache has no list of what it passes on, but one of what it does not.
        signed = {"authorization", "x-amz-content-sha256", "x-amz-date"}
        allowed |= {"apache": {"x-own"}, "nginx": signed}.get(server, set())
        if server == "nginx":
            assert came["authorization"].startswith("AWS4-HMAC-SHA256 Credential=key-id/")
            assert "?" not in asked.line
        assert set(came) <= allowed
        assert "private" not in str(came)
        assert came.get("accept-encoding", "identity") == "identity"


@pytest.mark.parametrize("server", ["apache", "nginx"])
def test_no_log_has_a_key_or_a_signature(server: str) -> None:
    with misbehaving("cuts") as store, serving(server, store) as (running, site):
        running.get(url_of(KEY), method="HEAD")
        for _ in range(2):
            with pytest.raises(IncompleteRead):
                running.get(url_of(KEY))
        receipts(site, 2)
        logs = [path for path in site.folder.rglob("*") if path.is_file() and "log" in path.name]
        texts = [path.read_text(errors="replace") for path in logs]
    assert any(texts)
    for text in texts:
        for secret in ("Signature", "Credential", "key-id", "s3cret"):
            assert secret not in text


def test_nobody_but_a_hand_off_writes_a_receipt() -> None:
    with misbehaving("cuts") as store, serving("nginx", store) as (running, site):
        for target in (f"{URL}?id=FORGEDFORGEDFORG", f"{URL}x?k=1&id=FORGEDFORGEDFORG"):
            assert running.get_directly(target).status == 404
        with pytest.raises(IncompleteRead):
            running.get(url_of(KEY))
        (receipt,) = receipts(site, 1)
        assert receipt.outcome == "cut short"


@pytest.mark.parametrize("count", [30])
def test_pages_are_answered_while_many_ask_a_silent_store(count: int) -> None:
    """With what mod_wsgi-express has by default: few threads."""
    with ExitStack() as stack:
        store = stack.enter_context(misbehaving("silent"))
        site = stack.enter_context(new_site(**settings_for(store)))
        started = express(site, APPLICATION, include=site.apache_config())
        running = stack.enter_context(started)
        assert get(running.port, "/").body == b"home"
        for method in ("HEAD", "GET"):
            for _ in range(count):
                connection = stack.enter_context(connect(running.port))
                connection.sendall(f"{method} {url_of(KEY)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            time.sleep(1)
            began = time.monotonic()
            assert get(running.port, "/").body == b"home"
            assert time.monotonic() - began < 3


def hold(stack: ExitStack, running: Running) -> HTTPResponse:
    """Begin a download and leave it."""
    connection = stack.enter_context(connect(running.port))
    connection.sendall(f"GET {url_of(KEY)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    response = stack.enter_context(HTTPResponse(connection))
    response.begin()
    return response


def test_apache_sends_a_stated_number_at_once() -> None:
    """Each holds a thread; whoever comes then is told to come again, and pages are answered."""
    options = ("--store-connections", "3")
    processes = ("--processes", "1")
    with ExitStack() as stack:
        store = stack.enter_context(misbehaving("stalls"))
        site = stack.enter_context(new_site(**settings_for(store)))
        include = site.apache_config(*options)
        assert include.count("max=3 ") == 1
        started = express(site, APPLICATION, *processes, "--max-clients", "8", include=include)
        running = stack.enter_context(started)
        server = Running(running.port, SERVERS["mod_wsgi"].keeps)
        for _ in range(3):
            assert hold(stack, server).status == 200
        for _ in range(2):
            began = time.monotonic()
            reply = get(running.port, url_of(KEY))
            assert time.monotonic() - began < 4
            assert (reply.status, reply.get("Retry-After")) == (503, "30")
            check_page(reply)
            assert get(running.port, "/").body == b"home"


def test_pages_are_answered_while_a_real_store_is_frozen(tmp_path: Path) -> None:
    with seaweedfs(tmp_path) as store:
        store.put(KEY, b"content")
        for server in ("apache", "nginx"):
            with serving(server, store) as (running, _), ThreadPoolExecutor(4) as pool:
                assert running.get(url_of(KEY)).body == b"content"
                store.freeze()
                try:
                    waiting = [pool.submit(running.get, url_of(KEY)) for _ in range(4)]
                    time.sleep(0.3)
                    began = time.monotonic()
                    assert running.get("/").body == b"home"
                    assert time.monotonic() - began < 1
                    assert {one.result().status for one in waiting} <= {502, 503, 504}
                finally:
                    store.thaw()
                assert running.get(url_of(KEY)).body == b"content"


def test_a_store_that_dies_during_a_download(tmp_path: Path) -> None:
    for number, server in enumerate(("apache", "nginx")):
        folder = tmp_path / str(number)
        folder.mkdir()
        with seaweedfs(folder) as store, serving(server, store) as (running, site):
            store.put(KEY, b"x" * 2**26)
            with connect(running.port) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                connection.sendall(f"GET {url_of(KEY)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                response = HTTPResponse(connection)
                response.begin()
                assert response.read(1000) == b"x" * 1000
                store.kill()
                with pytest.raises((IncompleteRead, ConnectionError)):
                    response.read()
            (receipt,) = receipts(site, 1)
            assert receipt.outcome == "cut short"
            assert receipt.sent < 2**26
            assert running.get("/").body == b"home"
            assert running.get(url_of(KEY)).status == 503


def test_a_signature_that_expires_during_a_download(tmp_path: Path) -> None:
    """It counts when the request begins; and one that is too late is refused."""
    brief = APPLICATION.replace(
        "app = Flask(",
        "from flask_delegate.stores.store import Store\n"
        "Store.target.__kwdefaults__['expires'] = 1\napp = Flask(",
        1,
    )
    with seaweedfs(tmp_path) as store:
        content = bytes(range(256)) * 4096
        store.put(KEY, content)
        for server in ("apache", "nginx"):
            with serving(server, store, application=brief) as (running, _):
                began = time.monotonic()
                reply = running.get(url_of(KEY, rate_limit=300_000))
                assert time.monotonic() - began > 2
                assert reply.body == content


def test_a_key_that_the_store_does_not_accept(tmp_path: Path) -> None:
    with seaweedfs(tmp_path) as store:
        store.put(KEY, b"content")
        for server, status in (("apache", 403), ("nginx", 503), ("stream", 503)):
            area: dict[str, Any] = {"backend": "nginx"} if server == "nginx" else {}
            settings = settings_for(store, **area)
            settings["DELEGATE_STORE_KEYS"] = {"media": (store.access_key, "wrong")}
            with new_site(**settings) as site, SERVE[server](site) as running:
                reply = running.get(url_of(KEY))
                assert reply.status == status
                check_page(reply)
                assert store.access_key.encode() not in reply.body
