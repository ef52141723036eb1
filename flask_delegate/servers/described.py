"""Responses that say themselves what a file is, for the servers that keep their headers."""

from __future__ import annotations

from datetime import UTC, datetime

from werkzeug.wrappers import Response

from ..resolve import PrivateFile
from .base import Sending


def describing_response(sending: Sending) -> Response:
    """Make a response without a body and with every header that describes the file."""
    response = Response(status=200, headers={**sending.headers, **sending.delivery.headers()})
    # Another person's answer is another one.
    response.vary.add("Cookie")
    return response


def set_validators(response: Response, file: PrivateFile) -> None:
    """Set a strong ETag and Last-Modified."""
    response.last_modified = datetime.fromtimestamp(file.mtime_ns // 10**9, UTC)
    response.set_etag(f"{file.size:x}-{file.mtime_ns:x}-{file.identity[1]:x}")
