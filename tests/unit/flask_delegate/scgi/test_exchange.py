"""A request and its response: WSGI's rules, and what a web server sees when something breaks."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication
from wsgiref.validate import validator

import pytest

from flask_delegate.scgi import exchange as exchange_module
from flask_delegate.scgi.exchange import serve
from tests.support.scgi_frames import LIMITS, Application, exchange, frame

PLAIN = [("Content-Type", "text/plain")]
FAILED = b"Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n"


def answering(
    *parts: bytes, status: str = "200 OK", headers: Iterable[tuple[str, str]] = PLAIN
) -> WSGIApplication:
    def application(_: Any, start_response: StartResponse) -> list[bytes]:
        start_response(status, list(headers))
        return list(parts)

    return application


def test_a_validated_exchange() -> None:
    def application(environ: Any, start_response: StartResponse) -> list[bytes]:
        body = environ["wsgi.input"].read(4) + environ["wsgi.input"].readline(-1)
        start_response("200 OK", PLAIN)
        return [body.upper()]

    assert exchange(frame(b"one\ntwo\n", REQUEST_METHOD="POST"), validator(application)) == (
        b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nONE\nTWO\n"
    )


@pytest.mark.parametrize("method", ["read", "readline", "readlines", "__iter__"])
def test_a_body_ends_where_it_ends(method: str) -> None:
    found: list[bytes] = []

    def application(environ: Any, start_response: StartResponse) -> list[bytes]:
        got = getattr(environ["wsgi.input"], method)()
        found.append(got if isinstance(got, bytes) else b"".join(got))
        start_response("200 OK", PLAIN)
        return []

    exchange(frame(b"12345"), application)
    assert found == [b"12345"]


@pytest.mark.parametrize("there", [0, 1, 1023])
def test_a_body_that_is_cut_short_is_an_error(there: int) -> None:
    """Or an upload of which a part is missing would be taken for whole."""
    application = Application()
    exchange(frame(b"x" * 1024)[: there - 1024], application)
    assert [body for _, body in application.asked] == [None]


@pytest.mark.parametrize("read", [0, 10])
def test_an_answer_arrives_though_the_body_was_not_read(read: int) -> None:
    """The web server sends all of it first: neither waits for the other."""
    size, answer = 8 * 2**20, b"y" * 4 * 2**20
    later: list[object] = []

    def application(environ: Any, start_response: StartResponse) -> Iterator[bytes]:
        environ["wsgi.input"].read(read)
        start_response("413 Content Too Large", PLAIN)
        yield answer
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            later.append(error)

    ours, theirs = socket.socketpair()
    arguments = (theirs, application, replace(LIMITS, body=0))
    server = threading.Thread(target=serve, args=arguments, kwargs={"multiprocess": False})
    server.start()
    with ours:
        ours.sendall(frame(b"x" * size))
        got = b"".join(iter(lambda: ours.recv(2**20), b""))
    server.join()
    assert got.endswith(b"\r\n\r\n" + answer)
    assert "not read before the response began" in str(later)


def test_a_body_above_the_limit_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    application = Application()
    got = exchange(frame(b"x" * 2049), application)
    assert got.startswith(b"Status: 413 Content Too Large\r\n")
    assert application.asked == []
    assert "2048 are the limit (--max-body)" in caplog.text


def test_a_response_is_sent_as_it_comes() -> None:
    assert exchange(frame(), answering(b"a", b"", b"b")).endswith(b"\r\n\r\nab")
    assert exchange(frame(), answering()).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")],
)
def test_what_has_no_body_is_sent_without(method: str, status: str) -> None:
    application = answering(b"body", status=status, headers=[*PLAIN, ("Content-Length", "4")])
    got = exchange(frame(REQUEST_METHOD=method), application)
    assert got.endswith(b"Content-Length: 4\r\n\r\n")


def failing_at_once(_: Any, __: StartResponse) -> list[bytes]:
    raise RuntimeError("on purpose")


def failing_before_the_body(_: Any, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", PLAIN)
    raise RuntimeError("on purpose")
    yield b""


def exiting(_: Any, __: StartResponse) -> list[bytes]:
    raise SystemExit(1)


def without_headers(_: Any, __: StartResponse) -> list[bytes]:
    return [b"body"]


def twice(_: Any, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", PLAIN)
    start_response("200 OK", PLAIN)
    return [b"body"]


@pytest.mark.parametrize(
    "application",
    [failing_at_once, failing_before_the_body, exiting, without_headers, twice]
    + [answering(b"x", status=status) for status in ("200", "abc", "200 a\r\nb", "2000 OK")]
    + [
        answering(b"x", headers=[header])
        for header in (
            ("X", "a\r\nY: b"),
            ("X", "a\0"),
            ("X\r\nY", "a"),
            ("X:", "a"),
            ("", "a"),
            ("Status", "200 OK"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Length", "x"),
            ("X", "日本"),
        )
    ],
)
def test_an_application_that_fails_is_a_500(
    application: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert exchange(frame(), application).startswith(FAILED)
    assert "the application failed: GET '/a'" in caplog.text


def test_a_response_can_be_replaced_until_it_has_begun() -> None:
    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "1000")])
        start_response("500 Oh", PLAIN, (ValueError, ValueError("on purpose"), None))
        return [b"replaced"]

    got = exchange(frame(), application)
    assert got == b"Status: 500 Oh\r\nContent-Type: text/plain\r\n\r\nreplaced"


def breaking_off(_: Any, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", PLAIN)
    yield b"begun"
    raise RuntimeError("on purpose")


def replacing_too_late(_: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", PLAIN)
    yield b"begun"
    start_response("500 Oh", PLAIN, (ValueError, ValueError("on purpose"), None))


@pytest.mark.parametrize("body", [b"", b"x", b"x" * 1000])
@pytest.mark.parametrize(
    "application",
    [
        breaking_off,
        replacing_too_late,
        answering(b"short", headers=[*PLAIN, ("Content-Length", "6")]),
    ],
)
def test_a_response_that_is_not_whole_resets_the_connection(
    application: Any, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConnectionResetError):
        exchange(frame(body), application)
    assert "on purpose" in caplog.text or "1 bytes of the response's" in caplog.text


def test_what_is_beyond_the_length_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    """Behind it, a web server would look for the next response."""
    headers = [*PLAIN, ("Content-Length", "3")]
    got = exchange(frame(), answering(b"ab", b"cd", b"ef", headers=headers))
    assert got.endswith(b"\r\n\r\nabc")
    assert "more than its Content-Length" in caplog.text


def test_write_works_still() -> None:
    def application(_: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", PLAIN)
        write(b"a")
        write(b"b")
        return [b"c"]

    assert exchange(frame(), application).endswith(b"\r\n\r\nabc")


class Closing:
    """An iterable that notes when it is closed, and waits for something then."""

    def __init__(self, at_end: Callable[[], object]) -> None:
        self._at_end = at_end

    def __iter__(self) -> Iterator[bytes]:
        yield b"body"

    def close(self) -> None:
        self._at_end()


def test_nobody_waits_for_what_the_application_does_in_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    got = threading.Event()

    def at_end() -> None:
        assert got.wait(10)
        raise RuntimeError("too late")

    def application(_: Any, start_response: StartResponse) -> Closing:
        start_response("200 OK", PLAIN)
        return Closing(at_end)

    ours, theirs = socket.socketpair()
    arguments = (theirs, application, LIMITS)
    server = threading.Thread(target=serve, args=arguments, kwargs={"multiprocess": False})
    server.start()
    with ours:
        ours.sendall(frame())
        while ours.recv(1000):
            pass
    got.set()
    server.join()
    assert "the application failed after its response" in caplog.text


@pytest.mark.parametrize("sent", [b"", b"5", frame()[:30], frame()[:-1], frame(b"123")[:-1]])
def test_silence_ends_a_request(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(sent)
        began = time.monotonic()
        serve(theirs, Application(), replace(LIMITS, silence=1), multiprocess=False)
        assert 0.5 < time.monotonic() - began < 10


def test_silence_in_a_body_that_nobody_reads_ends_a_request_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(frame(b"12345")[:-3])
        began = time.monotonic()
        serve(theirs, answering(b"x"), replace(LIMITS, silence=2), multiprocess=False)
        assert 1 < time.monotonic() - began < 3.9
    assert caplog.text == ""


@pytest.mark.parametrize("length", [1, 1000])
def test_a_body_that_nobody_reads_has_little_time(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it trickles: otherwise a few such clients keep all threads from the others."""
    monkeypatch.setattr(exchange_module, "_PATIENCE", 1.0)
    done = threading.Event()
    ours, theirs = socket.socketpair()

    def trickle() -> None:
        while length > 1 and not done.wait(0.1):
            with suppress(OSError):
                ours.send(b"x")

    trickling = threading.Thread(target=trickle)
    with ours:
        ours.sendall(frame(b"x" * length)[:-length])
        trickling.start()
        began = time.monotonic()
        serve(theirs, answering(b"x"), LIMITS, multiprocess=False)
        took = time.monotonic() - began
        done.set()
        trickling.join()
    assert 0.5 < took < 3


def test_a_client_that_does_not_read_ends_a_request() -> None:
    closed: list[int] = []

    def application(_: Any, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        try:
            while True:
                yield bytes(2**20)
        finally:
            closed.append(1)

    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(frame())
        serve(theirs, application, replace(LIMITS, silence=1), multiprocess=False)
    assert closed == [1]
