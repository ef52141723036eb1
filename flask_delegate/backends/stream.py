"""Any other server: the application sends the file itself, ranges and conditions included."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, BinaryIO

from werkzeug.http import parse_range_header
from werkzeug.wrappers import Response
from werkzeug.wsgi import FileWrapper, wrap_file

from ..handoff import Delivery


def respond(delivery: Delivery, environ: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """Answer with the file's content.

    :param environ: the request's WSGI environ.
    :param headers: constant headers for every file.
    :raises FileRefused: if the file is not there any more.
    :raises werkzeug.exceptions.RequestedRangeNotSatisfiable: as the name says.
    """
    environ = dict(environ)
    _ignore_unusable_ranges(environ)
    with ExitStack() as on_error:
        opened = on_error.enter_context(delivery.file.open())
        response = _whole(delivery, environ, opened)
        response.headers.update(headers)
        response.make_conditional(environ, accept_ranges=True, complete_length=delivery.file.size)
        on_error.pop_all()
    response.call_on_close(opened.close)
    return response


def _whole(delivery: Delivery, environ: dict[str, Any], opened: BinaryIO) -> Response:
    file = delivery.file
    # Werkzeug's wrapper can seek to a range's start; a server's own would be read up to there.
    body = FileWrapper(opened) if "HTTP_RANGE" in environ else wrap_file(environ, opened)
    response = Response(body, content_type=delivery.content_type, direct_passthrough=True)
    response.content_length = file.size
    response.last_modified = datetime.fromtimestamp(file.mtime_ns // 10**9, UTC)
    response.set_etag(f"{file.size:x}-{file.mtime_ns:x}-{file.identity[1]:x}")
    response.headers["Content-Disposition"] = delivery.disposition
    response.headers["Cache-Control"] = delivery.cache_control
    response.headers["X-Content-Type-Options"] = "nosniff"
    if delivery.csp:
        response.headers["Content-Security-Policy"] = delivery.csp
    return response


def _ignore_unusable_ranges(environ: dict[str, Any]) -> None:
    """Send the whole file instead, as RFC 9110, 14.2 allows.

    Werkzeug answers one range in bytes, and anything else with 416.
    """
    wanted = parse_range_header(environ.get("HTTP_RANGE"))
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) > 1:
        environ.pop("HTTP_RANGE", None)
