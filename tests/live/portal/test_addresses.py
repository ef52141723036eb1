"""Addresses that are not UTF-8, as the web server passes them on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.portal_process import shared_folder, started


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with shared_folder() as folder, started(folder / "data", "--demo") as run:
        yield run.port


@pytest.mark.parametrize("written", [b"\xff", b"a\x80", b"%ff", b"%c3%28", b"\xc3\xa9%e9", b"%00"])
@pytest.mark.parametrize("path", [b"/sign-in?next=", b"/search?q=", b"/files/x?"])
def test_query_that_is_not_utf_8_is_refused_in_a_sentence(
    path: bytes, written: bytes, port: int
) -> None:
    status, body = _ask(port, path + written)
    assert status == 400
    assert b"The query has control characters, or is not UTF-8." in body


def test_query_in_utf_8_is_taken_raw_and_quoted(port: int) -> None:
    for written in (b"\xc3\xa9", b"%c3%a9"):
        assert _ask(port, b"/sign-in?next=" + written)[0] == 200


def _ask(port: int, target: bytes) -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(
            b"GET " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split(b" ", 2)[1]), answer
