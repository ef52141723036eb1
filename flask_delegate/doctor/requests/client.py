"""Requests to the running server: proper ones, and raw bytes."""

from __future__ import annotations

import re
import socket
import ssl
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPMessage
from urllib.parse import SplitResult, quote, unquote, urlsplit

from . import http2

_PORTS = {"http": 80, "https": 443}
_PATIENCE = 30  # seconds for a proper request
_HURRY = 3  # seconds for an attack, which a server may leave unanswered
_MOST = 4 * 1024 * 1024  # bytes of an answer that are read
_HOST = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,255}")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\xa0-\xff]*)")


@dataclass(frozen=True, slots=True)
class Target:
    """The application's root on a running server.

    :param path: with a slash at both ends, quoted.
    :param verify: whether the certificate must be valid.
    :param name: the server's name, if the host is its address.
    :param headers: of each request, such as those that let it through a password; secret.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    verify: bool = True
    name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def url(self, path: str) -> str:
        """Return a path's URL as findings show it: without a query, which may be secret."""
        return f"{self.scheme}://{self.host_header}{path.partition('?')[0]}"

    @property
    def secrets(self) -> list[str]:
        """What lets a request through: the headers' values, and what Basic authentication codes."""
        found = [*self.headers.values()]
        kind, _, coded = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            with suppress(ValueError):
                pair = b64decode(coded).decode("utf-8", "replace")
                found += [pair, pair.partition(":")[2]]
        return [secret for secret in found if secret]

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
    """A response; header names may be written in any case.

    :param url: what was asked for, as findings show it.
    """

    status: int
    headers: HTTPMessage
    body: bytes
    url: str = ""

    def header(self, name: str) -> str:
        """Return a header's values as one, an absent one as empty text."""
        return ", ".join(str(value) for value in self.headers.get_all(name) or [])


def parse_url(
    url: str, *, name: str | None = None, verify: bool = True, headers: Iterable[str] = ()
) -> Target:
    """Read the URL of an application's root, which may hold a user and a password.

    :param headers: more headers of each request, as ``Name: value``.
    :raises ValueError: if something is not what it should be; without what may be secret.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS[parts.scheme]
    except (KeyError, ValueError):
        port = None
    if port is None or not parts.hostname or not parts.hostname.isascii() or parts.query:
        raise ValueError("URL is not that of an application, such as http://127.0.0.1:8000/")
    if name is not None and not _HOST.fullmatch(name):
        raise ValueError(f"--host takes a host's name, such as files.example.org, not {name!r}")
    path = quote(parts.path, safe="/%~").strip("/")
    fields = {**dict(_credentials(parts)), **dict(map(_header, headers))}
    return Target(
        parts.scheme, parts.hostname, port, f"/{path}/" if path else "/", verify, name, fields
    )


def _credentials(parts: SplitResult) -> Iterator[tuple[str, str]]:
    """Yield the header for Basic authentication (RFC 7617), if the URL has a user."""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        yield "Authorization", f"Basic {b64encode(pair.encode()).decode()}"


def _header(line: str) -> tuple[str, str]:
    found = _HEADER.fullmatch(line.strip())
    if not found or found[1].title() == "Host":
        raise ValueError("a header is written as 'Name: value'; for the host there is --host")
    return found[1].title(), found[2]


def fetch(
    target: Target, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Reply:
    """Send a proper request.

    :param path: with a slash in front; not below the target's own.
    :raises OSError: if there is no answer.
    """
    own = {"Host": target.host_header, "Connection": "close", **target.headers}
    fields = {**own, **(headers or {})}
    client = HTTPConnection(target.host)
    try:
        with _connect(target, _PATIENCE) as client.sock:
            client.request(method, path, headers=fields)
            response = client.getresponse()
            body = response.read(_MOST)
            return Reply(response.status, response.headers, body, target.url(path))
    except HTTPException as error:
        raise ConnectionError(f"the answer is not HTTP: {error!r}") from error


def answer_to(target: Target, request: bytes, *, use_http2: bool = False) -> bytes | None:
    """Send bytes and read whatever comes.

    :param use_http2: agree on HTTP/2 where there is TLS, and stop reading after its answer.
    :returns: nothing if the server did not answer.
    :raises OSError: if no connection can be made.
    """
    received = b""
    try:
        connected = _connect(target, _HURRY, use_http2=use_http2)
    except ssl.SSLError:
        if not use_http2:
            raise
        return received  # there is no agreement on HTTP/2
    with connected as connection:
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
