"""A connection that can be cut: what a train's tunnel does to an upload."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: what is on the way is dropped, and the other end told."""


class Proxy:
    """Hands on to a port of this machine what it gets, until it is cut.

    :param target: the port.
    :param rate: bytes a second that go to the server, so that something can happen meanwhile.
    """

    def __init__(self, target: int, rate: int) -> None:
        self._target = target
        self._pause = 65536 / rate
        self._open: list[socket.socket] = []
        self._is_cut = False
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.sent = 0
        """Bytes that went to the server."""

    def cut(self) -> None:
        """Cut all connections, as who resets them does, and refuse new ones."""
        self._is_cut = True
        for connection in self._open:
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        """Take connections again."""
        self._is_cut = False

    def freeze(self) -> None:
        """Let nothing pass any more on the connections that there are, and tell nobody."""
        self._flows.clear()
        self._flows = threading.Event()
        self._flows.set()

    def serve(self) -> None:
        """Hand on, until the listener is closed."""
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                if self._is_cut:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                self._start(client, server, counts=True)
                self._start(server, client, counts=False)

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _start(self, source: socket.socket, target: socket.socket, *, counts: bool) -> None:
        arguments = source, target, counts, self._flows
        threading.Thread(target=self._hand_on, args=arguments, daemon=True).start()

    def _hand_on(
        self, source: socket.socket, target: socket.socket, counts: bool, flows: threading.Event
    ) -> None:
        pause = threading.Event()
        with suppress(OSError):
            while piece := source.recv(65536):
                flows.wait()
                target.sendall(piece)
                if counts:
                    self.sent += len(piece)
                    pause.wait(self._pause * len(piece) / 65536)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        source.close()


@contextmanager
def proxied(port: int, rate: int) -> Iterator[Proxy]:
    """Start a proxy, and stop it at the end."""
    proxy = Proxy(port, rate)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
