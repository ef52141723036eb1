"""Uploads in pieces behind the real Apache, by a published client; and slow ones beside pages."""

from __future__ import annotations

import hashlib
import io
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.uploader.uploader import Uploader

from tests.support.portal_process import (
    Run,
    shared_folder,
    signed_in,
    started,
    uploads_daemons,
    wait_for,
)
from tests.support.visitors import Visitor

MIB = 1024**2
NAME = "Übersicht 概要.bin"
SLOW = 40

# The first start may install packages.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with shared_folder() as folder, started(folder / "data", "--demo") as started_run:
        yield started_run


@pytest.fixture
def content() -> bytes:
    return os.urandom(MIB) * 48


def headers_of(visitor: Visitor) -> dict[str, str]:
    token = visitor.token("/")  # which may come with a new cookie
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    return {"Cookie": cookies, "X-CSRFToken": token}


def uploader_of(run: Run, visitor: Visitor, content: bytes, url: str | None = None) -> Uploader:
    client = TusClient(f"http://127.0.0.1:{run.port}/uploads/", headers=headers_of(visitor))
    metadata = {"filename": NAME}
    uploader = client.uploader(
        file_stream=io.BytesIO(content), chunk_size=16 * MIB, metadata=metadata, url=url
    )
    if url is None:
        uploader.set_url(uploader.create_url())
    return uploader


def send_piece(uploader: Uploader) -> None:
    uploader.upload_chunk()  # type: ignore[no-untyped-call]


def url_of(uploader: Uploader) -> str:
    assert uploader.url
    return uploader.url


def sha256_of(visitor: Visitor) -> str:
    """Read the hash of the latest upload from its page."""
    page = visitor.ask("/?sort=date&order=descending")[1].decode()
    found = re.search(r'href="/files/([^"/]+)[^>]*(?: title="|><bdi>)Übersicht 概要', page)
    assert found, page
    details = visitor.ask(f"/entries/{found[1]}")[1].decode()
    shown = re.search(r"<code>([0-9a-f]{64})</code>", details)
    assert shown, details
    return shown[1]


def test_a_published_client_uploads_a_file(run: Run, content: bytes) -> None:
    alice = signed_in(run, "alice")
    uploader_of(run, alice, content).upload()
    assert sha256_of(alice) == hashlib.sha256(content).hexdigest()


def test_an_upload_goes_on_after_its_daemon_was_killed(run: Run, content: bytes) -> None:
    alice = signed_in(run, "alice")
    uploader = uploader_of(run, alice, content)
    send_piece(uploader)
    assert uploader.offset == 16 * MIB
    (killed,) = uploads_daemons(run)
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: set(uploads_daemons(run)) - {killed})

    rest = uploader_of(run, alice, content, uploader.url)
    assert rest.offset == 16 * MIB
    rest.upload()
    assert sha256_of(alice) == hashlib.sha256(content).hexdigest()


def test_an_upload_goes_on_after_the_server_was_started_again(content: bytes) -> None:
    with shared_folder() as folder:
        with started(folder / "data", "--demo") as first:
            alice = signed_in(first, "alice")
            uploader = uploader_of(first, alice, content)
            send_piece(uploader)
        with started(folder / "data") as second:
            alice.port = second.port
            url = f"http://127.0.0.1:{second.port}/uploads/{url_of(uploader).rpartition('/')[2]}"
            rest = uploader_of(second, alice, content, url)
            assert rest.offset == 16 * MIB
            rest.upload()
            assert sha256_of(alice) == hashlib.sha256(content).hexdigest()


def test_what_came_before_a_connection_was_cut_stays(run: Run, content: bytes) -> None:
    alice = signed_in(run, "alice")
    uploader = uploader_of(run, alice, content)
    with begun(run, alice, url_of(uploader), 48 * MIB) as connection:
        connection.sendall(content[: 3 * MIB])
        wait_for(lambda: offset_of(uploader) is None)
    wait_for(lambda: (offset_of(uploader) or 0) > 2 * MIB)
    uploader.offset = uploader.get_offset()
    uploader.upload()
    assert uploader.offset == 48 * MIB


def offset_of(uploader: Uploader) -> int | None:
    """Return how much has arrived; none while another request adds to it."""
    try:
        return int(uploader.get_offset())
    except TusCommunicationError as error:
        if error.status_code != 423:
            raise
        return None


def begun(run: Run, visitor: Visitor, url: str, length: int) -> socket.socket:
    """Open a connection, and send a piece's headers."""
    lines = [
        f"PATCH {url.partition(str(run.port))[2]} HTTP/1.1",
        "Host: 127.0.0.1",
        "Tus-Resumable: 1.0.0",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
        f"Content-Length: {length}",
        *(f"{name}: {value}" for name, value in headers_of(visitor).items()),
    ]
    connection = socket.create_connection(("127.0.0.1", run.port), timeout=60)
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def test_slow_uploads_hold_no_page_and_end(run: Run, content: bytes) -> None:
    alice = signed_in(run, "alice")
    urls = [url_of(uploader_of(run, alice, content)) for _ in range(SLOW)]
    with ExitStack() as stack:
        slow = [stack.enter_context(begun(run, alice, url, 48 * MIB)) for url in urls]
        # They are more than the threads for pages, and than the database has connections.
        for _ in range(5):
            assert alice.ask("/account")[0].status == 200
        uploader_of(run, alice, content).upload()
        # Nothing comes, so they are cut off after 20 seconds, and uploads go on.
        deadline = time.monotonic() + 60
        for connection in slow:
            connection.settimeout(max(deadline - time.monotonic(), 1))
            assert re.match(rb"HTTP/1\.1 4..|$", connection.recv(100))
    uploader = uploader_of(run, alice, content)
    uploader.upload()
    assert uploader.offset == 48 * MIB
