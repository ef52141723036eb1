"""The body of a request, as the application reads it."""

from __future__ import annotations

import io
import math
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .frame import BadFrameError

PIECE = 64 * 1024
"""Bytes read at once."""


class BrokenOffError(ConnectionError):
    """The web server, or the client behind it, has ended the connection or stopped sending."""


@contextmanager
def breaking_off(reason: str) -> Iterator[None]:
    """Make of what a socket raises a :exc:`BrokenOffError`."""
    try:
        yield
    except OSError as error:
        raise BrokenOffError(f"{reason}: {error.strerror or 'end of the connection'}") from error


class Body(io.RawIOBase):
    """The body of a request.

    :param patience: seconds that what nobody reads may take to arrive.
    """

    def __init__(self, connection: socket.socket, length: int, patience: float) -> None:
        super().__init__()
        self._connection, self._patience = connection, patience
        self.left = length  # bytes that the application has not read
        self._is_given_up = False
        if connection.recv(1, 0 if length else socket.MSG_PEEK) != b",":
            raise BadFrameError("its netstring does not end with a comma")

    def input(self) -> io.BufferedIOBase:
        """Return what the application reads."""
        return io.BufferedReader(self, PIECE) if self.left else io.BytesIO()

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there; return 0 at the end.

        :raises BrokenOffError: if the client has not sent all of it, or the response has begun.
        """
        if not self.left or not len(buffer):
            return 0
        if self._is_given_up:
            raise BrokenOffError("the body was not read before the response began")
        # The last byte stays in the socket: see :mod:`.exchange`.
        most, flags = (1, socket.MSG_PEEK) if self.left == 1 else (self.left - 1, 0)
        with breaking_off(f"{self.left} bytes of the body did not arrive"):
            count = self._connection.recv_into(buffer, min(len(buffer), most), flags)
            _check(count)
        self.left -= count
        return count

    def give_up(self) -> None:
        """Read what is left, as web servers send all of it before they look for a response.

        A client that sends it slowly must not keep a thread from others.

        :raises BrokenOffError: if it does not arrive in time.
        """
        self._is_given_up = True
        deadline = time.monotonic() + self._patience
        while True:
            with breaking_off(f"{self.left} bytes of a body that nobody reads did not arrive"):
                # For the last byte, too, which is taken later.
                set_wait(self._connection, socket.SO_RCVTIMEO, deadline - time.monotonic())
                if self.left <= 1:
                    return
                count = len(self._connection.recv(min(PIECE, self.left - 1)))
                _check(count)
            self.left -= count

    def take_last_byte(self) -> None:
        """Let the connection end without a reset."""
        with breaking_off("the last byte of the request did not arrive"):
            self._connection.recv(1)


def set_wait(connection: socket.socket, option: int, seconds: float) -> None:
    """Set how long a socket waits in :data:`SO_RCVTIMEO` or :data:`SO_SNDTIMEO`.

    :raises TimeoutError: if there is no time left: the kernel takes 0 for ever.
    """
    if seconds <= 0:
        raise TimeoutError
    whole, part = divmod(math.ceil(seconds * 1_000_000), 1_000_000)
    connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", whole, part))


def _check(count: int) -> None:
    if not count:
        raise ConnectionError
