"""A server in the place of an object store that answers wrongly, late or not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread
from urllib.parse import unquote

_REASONS = {
    "301": ("Moved Permanently", "PermanentRedirect"),
    "403": ("Forbidden", "AccessDenied"),
    "404": ("Not Found", "NoSuchKey"),
    "500": ("Internal Server Error", "InternalError"),
    "503": ("Service Unavailable", "SlowDown"),
    "507": ("Insufficient Storage", "InsufficientCapacity"),
}
_ERROR = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>{code}</Code><Message>{reason}: {key} in {bucket}</Message>\
<BucketName>{bucket}</BucketName><Key>{key}</Key>\
<Resource>/{bucket}/{key}</Resource><RequestId>REQUESTID0001</RequestId></Error>
"""
_OWN = "Server: MisbehavingStore\r\nx-amz-request-id: REQUESTID0001\r\nx-amz-id-2: HOSTID0001\r\n"
_LONG = f"HTTP/1.1 200 OK\r\n{_OWN}Content-Length: 1000000\r\n\r\n".encode() + b"x" * 1000
HOSTILE = {
    "X-Accel-Redirect": "/private/other",
    "X-Accel-Limit-Rate": "1",
    "X-Accel-Buffering": "no",
    "X-Accel-Expires": "86400",
    "X-Sendfile": "/etc/passwd",
    "Set-Cookie": "session=of-the-store; Path=/",
    "Location": "/private/other",
    "Status": "302",
    "Content-Encoding": "gzip",
    "Content-Disposition": 'inline; filename="of-the-store.html"',
    "Content-Security-Policy": "default-src *",
    "WWW-Authenticate": 'Basic realm="store"',
    "Access-Control-Allow-Origin": "*",
    "Strict-Transport-Security": "max-age=31536000",
    "Refresh": "0; url=http://store.invalid/",
    "Link": "<http://store.invalid/style.css>; rel=preload; as=style",
    "Via": "1.1 store",
    "x-amz-meta-owner": "somebody",
    "x-amz-version-id": "VERSION0001",
    "x-amz-server-side-encryption": "AES256",
    "Connection": "close",
}
HOSTILE_BODY = b"a small body\n"
HOW = ("refuses", "silent", "stalls", "cuts", *_REASONS, "garbage", "headers")


@dataclass(frozen=True)
class Asked:
    """A request as it came, without its body."""

    head: bytes

    @property
    def line(self) -> str:
        """The request line."""
        return self.head.decode("latin-1").partition("\r\n")[0]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The names, in small letters, and values of the header fields."""
        fields = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in fields if line)
        return [(name.lower(), value.strip()) for name, _, value in pairs]


@dataclass(frozen=True)
class Misbehaving:
    """A server that misbehaves on 127.0.0.1.

    :param requests: what it has been asked, in the order of arrival.
    """

    how: str
    port: int
    requests: list[Asked] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """The server's URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        """Answer one request, and close the connection as the misbehaviour wants."""
        # The end of the block shuts the connection, and a client may leave at any time.
        with connection, suppress(OSError):
            head = _read_head(connection)
            if not head:
                return
            self.requests.append(Asked(head))
            connection.sendall(self._answer(head))
            if self.how in {"silent", "stalls"}:
                while connection.recv(65536):
                    pass
            connection.shutdown(socket.SHUT_WR)

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.decode("latin-1").partition(" ")
        if self.how in {"stalls", "cuts"}:
            return _LONG
        if self.how == "garbage":
            return b"\x00\xff\x16\x03garbage\n\n" * 100
        if self.how == "headers":
            fields = "".join(f"{name}: {value}\r\n" for name, value in HOSTILE.items())
            return _reply("200 OK", _OWN + fields, HOSTILE_BODY, method)
        if self.how in _REASONS:
            reason, code = _REASONS[self.how]
            bucket, key = _names(rest.partition(" ")[0])
            body = _ERROR.format(code=code, reason=reason, bucket=bucket, key=key).encode()
            fields = _OWN + "Content-Type: application/xml\r\nConnection: close\r\n"
            return _reply(f"{self.how} {reason}", fields, body, method)
        return b""


def _read_head(connection: socket.socket) -> bytes:
    """Return a request's line and header fields; nothing, if the client leaves before."""
    read = b""
    while b"\r\n\r\n" not in read:
        more = connection.recv(65536)
        if not more:
            return b""
        read += more
    return read.partition(b"\r\n\r\n")[0]


def _names(target: str) -> tuple[str, str]:
    bucket, _, key = target.partition("?")[0].removeprefix("/").partition("/")
    return unquote(bucket), unquote(key)


def _reply(status: str, fields: str, body: bytes, method: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode()
    return head if method == "HEAD" else head + body


@contextmanager
def misbehaving(how: str) -> Iterator[Misbehaving]:
    """Run a server that misbehaves until the end of the block.

    :param how: one of :data:`HOW`.
    """
    if how not in HOW:
        raise ValueError(f"{how!r} is not one of {', '.join(HOW)}.")
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        server = Misbehaving(how, listening.getsockname()[1])
        # A port that is bound and does not listen refuses connections, and nobody else takes it.
        if how != "refuses":
            listening.listen()
            stack.enter_context(_accepting(server, listening))
        yield server


@contextmanager
def _accepting(server: Misbehaving, listening: socket.socket) -> Iterator[None]:
    """Serve each connection in a thread; shut all of them at the end."""
    connections: list[socket.socket] = []
    threads: list[Thread] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connections.append(connection)
                threads.append(Thread(target=server.serve, args=(connection,)))
                threads[-1].start()

    accepting = Thread(target=accept)
    accepting.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
