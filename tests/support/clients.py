"""Requests as an attacker would write them: nothing is normalised on the way."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from typing import Any
from urllib.parse import quote, urlencode

import h2.config
import h2.connection
import h2.events
import h2.settings

BEHIND_THE_END = {"Range": "bytes=99999999999-"}
"""Shows who sends a file: the answer is an error of its own. Apache's has no ``Content-Range``."""


@dataclass(frozen=True)
class Reply:
    """A response. A header's name may be written in any case."""

    status: int
    headers: HTTPMessage
    body: bytes

    def __getitem__(self, name: str) -> str:
        values = self.headers.get_all(name) or []
        assert len(values) == 1, f"{name} came {len(values)} times: {values}"
        return str(values[0])

    def get(self, name: str) -> str | None:
        value = self.headers.get(name)
        return None if value is None else str(value)


def get(
    port: int,
    target: str | bytes,
    *,
    method: str = "GET",
    version: str = "HTTP/1.1",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    tls: bool = False,
) -> Reply:
    """Send one request with the target exactly as given."""
    raw = target.encode("latin-1") if isinstance(target, str) else target
    fields = {"Host": "127.0.0.1", "Connection": "close", **(headers or {})}
    if body:
        fields["Content-Length"] = str(len(body))
    head = f"{method} ".encode() + raw + f" {version}\r\n".encode()
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("latin-1")
    return send(port, head + b"\r\n" + body, method=method, tls=tls)


def connect(port: int, *, tls: bool = False, protocol: str = "http/1.1") -> socket.socket:
    """Open a connection; whose certificate it is does not matter here."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    if not tls:
        return connection
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context.wrap_socket(connection, server_hostname="delegate.test")


def send(port: int, request: bytes, *, method: str = "GET", tls: bool = False) -> Reply:
    """Send bytes and read one response."""
    with connect(port, tls=tls) as connection:
        connection.sendall(request)
        response = HTTPResponse(connection, method=method)
        response.begin()
        return Reply(response.status, response.headers, response.read())


def everything(port: int, request: bytes) -> bytes:
    """Send bytes and read whatever comes until the server closes (HTTP/0.9 has no headers)."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def request_over_http2(
    target: str,
    headers: dict[str, str] | None = None,
    *,
    host: str = "127.0.0.1",
    window: int | None = None,
) -> tuple[h2.connection.H2Connection, bytes]:
    """Write the first bytes of a connection that asks for one target, on its stream 1.

    :param window: bytes of a body that the server may send before it is allowed more; none: what is
        usual.
    """
    config = h2.config.H2Configuration(validate_outbound_headers=False)
    h2c = h2.connection.H2Connection(config=config)
    h2c.initiate_connection()
    if window:
        h2c.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
    pseudo = {":method": "GET", ":scheme": "http", ":authority": host, ":path": target}
    h2c.send_headers(1, [*pseudo.items(), *(headers or {}).items()], end_stream=True)
    return h2c, h2c.data_to_send()


def over_http2(
    port: int,
    target: str,
    headers: dict[str, str] | None = None,
    *,
    host: str = "127.0.0.1",
    tls: bool = False,
) -> tuple[int, bytes]:
    """Send one request over HTTP/2; the path goes out as it is."""
    h2c, request = request_over_http2(target, headers, host=host)
    status, body, done = 0, b"", False
    with connect(port, tls=tls, protocol="h2") as connection:
        connection.sendall(request)
        while not done and (received := connection.recv(65536)):
            for event in h2c.receive_data(received):
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[b":status"])
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                    h2c.acknowledge_received_data(event.flow_controlled_length, 1)
                elif isinstance(
                    event,
                    h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated,
                ):
                    done = True
            connection.sendall(h2c.data_to_send())
    return status, body


def file_url(path: str, **options: Any) -> str:
    """Write the URL of the test application's view for a private file."""
    return f"/file/{quote(path)}?{urlencode(options)}"
