"""Any other server: the application sends the file itself, as Apache would send a static file."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import BinaryIO
from wsgiref.types import WSGIEnvironment

from werkzeug.exceptions import PreconditionFailed, RequestedRangeNotSatisfiable
from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

from ..areas import Area
from ..delivery import Delivery
from ..exceptions import FileMissing
from ..stores.objects import StoredObject
from ..stores.store import Store
from . import conditions, ranges
from .base import Keeps, Server, describing_response
from .handshake import Keys
from .stored import direct

_PIECE = 64 * 1024  # bytes read at once
_Piece = bytes | range
"""What a body is made of: bytes, or a part of the file."""


class Stream(Server):
    """See the module."""

    name = "stream"
    keeps = Keeps(cookies=True, headers=True, rate_limit=False, coding=True)

    def check(self, environ: Mapping[str, object], area: Area, keys: Keys) -> None:
        """Do nothing: every server will do."""

    def why_unable(self, store: Store | None) -> str:
        """See :class:`.Server`."""
        del store
        return ""

    def respond(self, delivery: Delivery, keys: Keys, environ: WSGIEnvironment) -> Response:
        """Return the file's content, or what conditions and ranges make of it.

        :raises FileRefused: if the file is no longer there.
        :raises werkzeug.exceptions.PreconditionFailed: as the name says.
        :raises werkzeug.exceptions.RequestedRangeNotSatisfiable: as the name says.
        """
        del keys
        file = delivery.file
        if isinstance(file, StoredObject):
            return direct.respond(file, delivery, environ)
        # Where Apache sends the same files at other times, the ETag is Apache's.
        is_alone = delivery.area.backend == self.name
        current = conditions.Validators.of(file, delivery.handoff.sha256 if is_alone else None)
        response = describing_response(delivery)
        response.headers.update(current.headers())
        response.headers["Accept-Ranges"] = "bytes"
        response.status_code = conditions.evaluate(environ, current)
        if response.status_code == HTTPStatus.PRECONDITION_FAILED:
            raise PreconditionFailed
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            return response
        parts = None
        if "HTTP_RANGE" in environ and conditions.allows_range(environ, current):
            parts = ranges.parse(environ["HTTP_RANGE"], file.size)
        if parts == []:
            raise RequestedRangeNotSatisfiable(file.size)
        opened = file.open()
        whole = [range(file.size)]
        pieces: Sequence[_Piece] = whole if parts is None else _partial(response, parts, file.size)
        # Not by wsgi.file_wrapper: of a file that becomes shorter, some servers send zeros, and
        # others the next answer in the missing bytes' place.
        if "mod_wsgi.version" in environ:
            # Apache does not notice that a body is too short. The connection's end shows it.
            response.headers["Connection"] = "close"
        response.direct_passthrough = True  # no hook may read it into memory
        response.response = ClosingIterator(_read(opened, pieces, delivery), opened.close)
        response.content_length = sum(map(len, pieces))
        return response


def _partial(response: Response, parts: Sequence[range], size: int) -> Sequence[_Piece]:
    """Make a response a partial one (RFC 9110, 15.3.7), and return what its body is made of."""
    response.status_code = HTTPStatus.PARTIAL_CONTENT
    spans = [f"bytes {part.start}-{part.stop - 1}/{size}" for part in parts]
    if len(parts) == 1:
        response.headers["Content-Range"] = spans[0]
        return parts
    boundary, content_type = secrets.token_hex(16), response.headers["Content-Type"]
    response.headers["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
    pieces: list[_Piece] = []
    for span, part in zip(spans, parts, strict=True):
        head = f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {span}\r\n\r\n"
        pieces += [head.encode("ascii"), part]
    return [*pieces, f"\r\n--{boundary}--\r\n".encode("ascii")]


def _read(opened: BinaryIO, pieces: Iterable[_Piece], delivery: Delivery) -> Iterator[bytes]:
    """Yield a body; raise where the file ends too early, so that the server ends the connection."""
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        opened.seek(piece.start)
        left = len(piece)
        while left and (data := opened.read(min(left, _PIECE))):
            left -= len(data)
            yield data
        if left:
            reason = f"it became shorter while it was sent: {left} bytes are missing."
            raise FileMissing(delivery.file.relative, delivery.area.root, reason)
