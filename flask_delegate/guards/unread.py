"""What is left of a request's body when a file is sent in answer to it."""

from __future__ import annotations

from contextlib import suppress

from flask import Request
from werkzeug.exceptions import HTTPException

_MOST = 16 * 1024 * 1024  # bytes
_PIECE = 64 * 1024


def read_rest(request: Request) -> None:
    """Read what a view left of a body, within limits.

    A server in Python that ends a connection with something unread resets it, and a proxy in front
    may lose the hand-off by that (RFC 9112, 9.6). Too long a body, or one that breaks off, is left.
    """
    if request.method in {"GET", "HEAD"}:
        return
    left = _MOST
    with suppress(HTTPException, OSError):
        while left > 0 and (piece := request.stream.read(_PIECE)):
            left -= len(piece)
