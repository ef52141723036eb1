"""Requests to a store by the application itself, where no web server makes them."""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from socket import SHUT_RDWR, socket
from threading import Timer
from urllib.parse import urlencode

from ..exceptions import StoreUnavailable
from .store import CONNECT, IDLE, Store

_BRIEF = 5
"""Seconds for all of an answer without a body: a person waits for it, and holds a thread."""
_LONG = 60
"""Seconds for the head of another one, however slowly it comes."""


def ask(
    store: Store,
    method: str,
    key: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    extra: Sequence[tuple[str, str]] = (),
    signed: bool = True,
) -> http.client.HTTPResponse:
    """Return a store's answer, of which the head was read. The caller closes it.

    :param key: below the prefix; empty: the bucket.
    :param extra: parameters of the request.
    :param signed: whether it is made with the store's keys, or as anybody's.
    :raises StoreUnavailable: if there is no answer in time.
    """
    path, query = store.target(method, key, *extra)
    if not signed:
        query = urlencode(extra)
    host, port = store.address
    connection = http.client.HTTPConnection(host, port, timeout=CONNECT)
    if store.is_encrypted:
        context = _context(store.ca_file)
        connection = http.client.HTTPSConnection(host, port, timeout=CONNECT, context=context)
    try:
        connection.connect()
        connection.sock.settimeout(IDLE)
        fields = {"Host": store.host, "Connection": "close", **headers}
        with _ended(connection.sock, _BRIEF if method == "HEAD" else _LONG):
            connection.request(method, f"{path}?{query}", body, fields)
            # It has the socket from now on, and closes it.
            return connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise StoreUnavailable(key, store.url, _described(error)) from error


@contextmanager
def _ended(connection: socket, seconds: float) -> Iterator[None]:
    """End a connection after so many seconds, unless the block ends first."""
    # A socket with TLS cannot be duplicated, but what is below it can.
    with socket(fileno=os.dup(connection.fileno())) as ours:

        def end() -> None:
            with suppress(OSError):
                ours.shutdown(SHUT_RDWR)

        timer = Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def read(response: http.client.HTTPResponse, most: int, store: Store, key: str) -> bytes:
    """Return the next bytes of an answer's body; none at its end.

    :raises StoreUnavailable: if they do not come in time, or the answer ends before its end.
    """
    try:
        return response.read1(most)
    except (OSError, http.client.HTTPException) as error:
        raise StoreUnavailable(key, store.url, _described(error)) from error


def _described(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}."
    return f"{getattr(error, 'strerror', None) or type(error).__name__}."


@lru_cache(maxsize=8)
def _context(ca_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
