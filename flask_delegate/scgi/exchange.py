"""One request and its response, on a connection of their own.

SCGI ends a response by the end of the connection, and Apache drops the ``Content-Length``: a
response that breaks off would look whole. So the last byte of the request is left in the socket,
and taken only when the response is whole. If it is still there when the connection is closed, the
kernel resets that, and the web server passes on that something is missing.
"""

from __future__ import annotations

import logging
import re
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from wsgiref.types import WSGIApplication

from .body import PIECE, Body, BrokenOffError, breaking_off, set_wait
from .environ import environ_of
from .forks import kept_from_children
from .frame import BadFrameError, parse, read_head

logger = logging.getLogger("flask_delegate.scgi")

_PATIENCE = 5.0
"""Seconds in all that a body may take which the application does not read."""
_LINGER, _LINGERED = 2.0, 2**20
"""Seconds and bytes for which what follows a refused head is read."""
_STATUS = re.compile(r"[1-9][0-9]{2} [\x20-\x7e\x80-\xff]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# What is between the client and the web server is the latter's (PEP 3333), and Status would
# replace the status line.
_NOT_OURS = frozenset({"status", "connection", "keep-alive", "te", "trailer", "transfer-encoding"})

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may take.

    :param head: bytes of all its names and values.
    :param body: bytes; 0: any.
    :param silence: seconds that the web server may neither send nor take anything.
    """

    head: int
    body: int
    silence: int


def serve(
    connection: socket.socket, application: WSGIApplication, limits: Limits, *, multiprocess: bool
) -> None:
    """Answer the request of a connection, and close it. Whatever is wrong is logged."""
    with connection, kept_from_children(connection):
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            set_wait(connection, option, limits.silence)
        try:
            _serve(connection, application, limits, multiprocess=multiprocess)
        except (OSError, BrokenOffError) as error:
            # As it happens when a client hangs up.
            logger.debug("a connection was broken off: %s", error)


def _serve(
    connection: socket.socket, application: WSGIApplication, limits: Limits, *, multiprocess: bool
) -> None:
    try:
        found = parse(_head(connection, limits))
        patience = min(_PATIENCE, limits.silence)
        body = Body(connection, int(found["CONTENT_LENGTH"]), patience)
        environ = environ_of(found, body.input(), multiprocess=multiprocess)
    except BadFrameError as error:
        logger.warning("a request was refused: %s.", error)
        _refuse(connection, error.status)
        return
    response = Response(connection, body, environ)
    if limits.body and body.left > limits.body:
        reason = f"its body has {body.left} bytes, and {limits.body} are the limit (--max-body)"
        response.fail("413 Content Too Large", reason)
    else:
        response.run(application)


def _refuse(connection: socket.socket, status: str) -> None:
    """Answer, and read on for a while: what is not read would reset the connection."""
    text = f"Status: {status}\r\nContent-Type: text/plain\r\n\r\n{status}\n"
    connection.sendall(text.encode())
    connection.shutdown(socket.SHUT_WR)
    end, left = time.monotonic() + _LINGER, _LINGERED
    while left > 0 and (remaining := end - time.monotonic()) > 0:
        connection.settimeout(remaining)
        left -= len(data := connection.recv(PIECE))
        if not data:
            return


def _head(connection: socket.socket, limits: Limits) -> bytes:
    deadline = time.monotonic() + limits.silence

    def receive(most: int) -> bytes:
        data = connection.recv(most)
        if not data or time.monotonic() > deadline:
            raise BrokenOffError("the request did not arrive")
        return data

    return read_head(receive, limits.head)


class Response:
    """The response to a request, as the application makes it (PEP 3333)."""

    def __init__(self, connection: socket.socket, body: Body, environ: dict[str, Any]) -> None:
        self._connection, self._body, self._environ = connection, body, environ
        self._head: list[str] | None = None
        self._is_begun = self._is_empty = False
        self._missing: int | None = None  # bytes of what Content-Length says

    def run(self, application: WSGIApplication) -> None:
        """Send what the application answers.

        :raises BrokenOffError: if nobody takes it.
        """
        result: Iterable[bytes] = ()
        try:
            result = application(self._environ, self.start_response)
            for data in result:
                if data:
                    self.write(data)
                if self._is_empty:
                    break
            self._end()
        except BrokenOffError:
            raise
        except BaseException:
            self._log("the application failed")
            if not self._is_begun:
                self._replace("500 Internal Server Error")
        finally:
            self._close(result)

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: _ExcInfo | tuple[None, None, None] | None = None,
    ) -> Any:
        """Take the status and the headers, and return :meth:`write`.

        :raises AssertionError: if they are no headers, or were there before.
        """
        if exc_info:
            try:
                if self._is_begun and exc_info[1]:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # which holds this frame
        elif self._head is not None:
            raise AssertionError("start_response was called twice, and without exc_info")
        if not _STATUS.fullmatch(status):
            raise AssertionError(f"{status!r} is no status")
        self._missing = None
        self._head = [f"Status: {status}", *map(self._line, headers)]
        is_head = self._environ["REQUEST_METHOD"] == "HEAD"
        self._is_empty = is_head or status[0] == "1" or status[:3] in {"204", "304"}
        return self.write

    def _line(self, header: tuple[str, str]) -> str:
        name, value = header
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise AssertionError(f"{name!r}: {value!r} is no header")
        lower = name.lower()
        if lower in _NOT_OURS and (lower, value.lower()) != ("connection", "close"):
            raise AssertionError(f"{name!r} is the web server's to set")
        if lower == "content-length":
            self._missing = int(value)
        return f"{name}: {value}"

    def write(self, data: bytes) -> None:
        """Send a part of the body.

        :raises BrokenOffError: if nobody takes it.
        :raises AssertionError: before the headers.
        """
        if self._is_empty:
            data = b""
        elif self._missing is not None:
            if len(data) > self._missing:
                self._log("the application sends more than its Content-Length: it is cut off")
                data = data[: self._missing]
            self._missing -= len(data)
        if not self._is_begun:
            data = self._begin() + data
        if data:
            self._send(data)

    def _begin(self) -> bytes:
        if self._head is None:
            raise AssertionError("there is a body before start_response was called")
        self._body.give_up()
        self._is_begun = True
        return "\r\n".join([*self._head, "", ""]).encode("latin-1")

    def _end(self) -> None:
        if not self._is_begun:
            self._send(self._begin())
        if self._missing and not self._is_empty:
            self._log(f"{self._missing} bytes of the response's Content-Length are missing")
            return
        self._body.take_last_byte()
        # Before the application does what it does in the end, for which nobody has to wait. What
        # was forked while the connection was accepted, has a copy (see :mod:`.forks`).
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
        self._connection.close()

    def fail(self, status: str, reason: str) -> None:
        """Answer in the application's place."""
        logger.warning("a request was refused: %s.", reason)
        self._replace(status)

    def _replace(self, status: str) -> None:
        text = f"{status}\n"
        self._head, self._missing, self._is_empty = None, None, False
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
        self.start_response(status, [*headers, ("Cache-Control", "no-store")])
        self.write(text.encode())
        self._end()

    def _send(self, data: bytes) -> None:
        with breaking_off("nobody takes the response"):
            self._connection.sendall(data)

    def _close(self, result: Iterable[bytes]) -> None:
        try:
            if hasattr(result, "close"):
                result.close()
        except BaseException:
            self._log("the application failed after its response")

    def _log(self, what: str) -> None:
        method, path = self._environ["REQUEST_METHOD"], self._environ.get("PATH_INFO", "")
        logger.error("%s: %s %r", what, method, path[:200], exc_info=sys.exc_info()[1])
