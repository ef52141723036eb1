"""Sharing and the record of downloads, with the portal behind the real Apache."""

from __future__ import annotations

import io
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote
from zipfile import ZipFile

import pytest

from tests.support.portal_process import Run, shared_folder, signed_in, started
from tests.support.visitors import Visitor

NAME = "Größe 日本.bin"
CONTENT = bytes(range(256)) * 4096 * 8  # more than fits in the sockets' buffers


@dataclass
class Shared:
    """A portal in which alice shares a file.

    :param file: its page in the list of the owner.
    :param link: the share's.
    """

    run: Run
    alice: Visitor
    file: str
    link: str


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    with shared_folder() as folder, started(folder / "data", "--demo") as run:
        alice = signed_in(run, "alice")
        file = alice.upload(NAME, CONTENT)
        yield Shared(run, alice, file, alice.share(file, download_limit="2", until=""))


def begin(shared: Shared) -> tuple[Visitor, str]:
    """Press the download button as somebody without an account, and give where it leads."""
    visitor = Visitor(shared.run.port)
    home, _ = visitor.open_share(shared.link)
    page = visitor.ask(home)[1].decode()
    assert "<bdi>alice</bdi></strong> shares a file with you" in page
    return visitor, visitor.begin_download(shared.link)


def details(shared: Shared) -> str:
    return shared.alice.ask(shared.file.replace("/files/", "/entries/"))[1].decode()


def wait_for(condition: Callable[[], bool], shared: Shared) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, details(shared)
        time.sleep(0.2)


def test_a_shared_file_comes_from_apache_and_its_end_is_known(shared: Shared) -> None:
    visitor, url = begin(shared)
    response, content = visitor.ask(url)
    assert (response.status, content) == (200, CONTENT)
    assert f"filename*=UTF-8''{quote(NAME)}" in response.headers["Content-Disposition"]
    wait_for(lambda: "completed, 8 MiB sent" in details(shared), shared)
    page = details(shared)
    assert "1 download. " in page
    assert "<em>Visitor</em>" in page
    assert "via a link" in page


def test_a_download_that_is_cut_short_and_resumed_counts_once(shared: Shared) -> None:
    visitor, url = begin(shared)
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    with socket.create_connection(("127.0.0.1", shared.run.port), timeout=60) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lines = [f"GET {url} HTTP/1.1", "Host: 127.0.0.1", f"Cookie: {cookies}", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    wait_for(lambda: "cut short" in details(shared), shared)
    assert "2 downloads: 1 complete, 1 incomplete. " in details(shared)

    response, rest = visitor.ask(url, range="bytes=1000-")
    assert (response.status, rest) == (206, CONTENT[1000:])
    wait_for(lambda: "2 downloads. " in details(shared), shared)
    assert "incomplete" not in details(shared)


def test_a_zip_comes_whole_through_apache(shared: Shared) -> None:
    start = shared.alice.ask("/")[1].decode()
    folder = re.search(r'href="(/folders/[^"/]+)"', start)
    assert folder
    response, content = shared.alice.ask(f"{folder[1]}/zip")
    assert response.status == 200
    assert int(response.headers["Content-Length"]) == len(content)
    with ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["Music/Chime.wav"]


def test_the_limit_is_reached_for_others(shared: Shared) -> None:
    late = Visitor(shared.run.port)
    home = late.ask(shared.link)[0].headers["Location"]
    response, page = late.ask(home)
    assert response.status == 410
    assert b"This link is used up" in page
