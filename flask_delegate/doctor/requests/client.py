"""Requests to the running server: proper ones, and raw bytes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPMessage
from urllib.parse import quote, urlsplit

from . import http2

_PORTS = {"http": 80, "https": 443}
_PATIENCE = 30  # seconds for a proper request
_HURRY = 3  # seconds for an attack, which a server may leave unanswered
_MOST = 4 * 1024 * 1024  # bytes of an answer that are read


@dataclass(frozen=True, slots=True)
class Target:
    """The application's root on a running server.

    :param path: with a slash at both ends, quoted.
    :param verify: whether the certificate must be valid.
    :param name: the server's name, if the host is its address.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    verify: bool = True
    name: str | None = None

    @property
    def roots(self) -> list[str]:
        """Where the web server's root may be: at each folder of the path, behind a proxy."""
        parts = self.path.rstrip("/").split("/")
        return ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]

    @property
    def host_header(self) -> str:
        """What the ``Host`` header says."""
        if self.name is not None:
            return self.name
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response; header names may be written in any case."""

    status: int
    headers: HTTPMessage
    body: bytes

    def header(self, name: str) -> str:
        """Return a header's values as one, an absent one as empty text."""
        return ", ".join(str(value) for value in self.headers.get_all(name) or [])


def parse_url(url: str, *, name: str | None = None, verify: bool = True) -> Target:
    """Read the URL of an application's root.

    :raises ValueError: if it is not one.
    """
    parts = urlsplit(url)
    usable = parts.hostname and parts.hostname.isascii() and not (parts.query or parts.username)
    if parts.scheme not in _PORTS or not parts.hostname or not usable:
        example = "http://127.0.0.1:8000/"
        raise ValueError(f"{url!r} is not the URL of an application, such as {example}")
    path = quote(parts.path, safe="/%~").strip("/")
    port = parts.port or _PORTS[parts.scheme]
    return Target(parts.scheme, parts.hostname, port, f"/{path}/" if path else "/", verify, name)


def fetch(
    target: Target, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Reply:
    """Send a proper request.

    :param path: with a slash in front; not below the target's own.
    :raises OSError: if there is no answer.
    """
    fields = {"Host": target.host_header, "Connection": "close", **(headers or {})}
    client = HTTPConnection(target.host)
    try:
        with _connect(target, _PATIENCE) as client.sock:
            client.request(method, path, headers=fields)
            response = client.getresponse()
            return Reply(response.status, response.headers, response.read(_MOST))
    except HTTPException as error:
        raise ConnectionError(f"the answer is not HTTP: {error!r}") from error


def answer_to(target: Target, request: bytes, *, use_http2: bool = False) -> bytes | None:
    """Send bytes and read whatever comes.

    :param use_http2: agree on HTTP/2 where there is TLS, and stop reading after its answer.
    :returns: nothing if the server did not answer.
    :raises OSError: if no connection can be made.
    """
    received = b""
    with _connect(target, _HURRY, use_http2=use_http2) as connection:
        try:
            connection.sendall(request)
            while len(received) < _MOST and (chunk := connection.recv(65536)):
                received += chunk
                if use_http2 and http2.has_ended(received):
                    break
        except TimeoutError:
            return received or None
        except OSError:
            pass  # a closed connection is an answer, too
    return received


def _connect(target: Target, timeout: float, *, use_http2: bool = False) -> socket.socket:
    connection = socket.create_connection((target.host, target.port), timeout=timeout)
    if target.scheme == "http":
        return connection
    # If that fails, it closes the connection.
    context = _tls_context(verify=target.verify, use_http2=use_http2)
    return context.wrap_socket(connection, server_hostname=target.name or target.host)


@cache
def _tls_context(*, verify: bool, use_http2: bool) -> ssl.SSLContext:
    """Create the settings of TLS once: reading the certificates of all authorities is slow."""
    context = ssl.create_default_context()
    if use_http2:
        context.set_alpn_protocols(["h2"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
