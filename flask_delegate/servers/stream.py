"""Any other server: the application sends the file itself, ranges and conditions included."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from http.client import PRECONDITION_FAILED
from typing import Any, BinaryIO

from werkzeug.http import parse_range_header
from werkzeug.wrappers import Response
from werkzeug.wsgi import FileWrapper, wrap_file

from ..areas import Area
from .base import Keeps, Sending
from .described import describing_response, set_validators
from .handshake import Mark

NAME = "stream"
HEADER = None
KEEPS = Keeps(cookies=True, headers=True, rate_limit=False, several_ranges=False)


def check(_environ: Mapping[str, object], _area: Area, _mark: Mark) -> None:
    """Every server will do."""


def respond(sending: Sending) -> Response:
    """Answer with the file's content.

    :raises FileRefused: if the file is not there any more.
    :raises werkzeug.exceptions.RequestedRangeNotSatisfiable: as the name says.
    """
    environ = dict(sending.environ)
    _ignore_unusable_ranges(environ)
    file = sending.delivery.file
    with ExitStack() as on_error:
        opened = on_error.enter_context(file.open())
        response = describing_response(sending)
        response.response = _body(environ, opened)
        response.direct_passthrough = True
        response.content_length = file.size
        response.headers["Accept-Ranges"] = "bytes"
        set_validators(response, file)
        response.make_conditional(environ, accept_ranges=True, complete_length=file.size)
        if response.status_code == PRECONDITION_FAILED:
            response.direct_passthrough = False
            response.set_data(b"")
        on_error.pop_all()
    response.call_on_close(opened.close)
    return response


def _body(environ: dict[str, Any], opened: BinaryIO) -> Any:
    # Werkzeug's wrapper can seek to a range's start; a server's own would be read up to there.
    return FileWrapper(opened) if "HTTP_RANGE" in environ else wrap_file(environ, opened)


def _ignore_unusable_ranges(environ: dict[str, Any]) -> None:
    """Send the whole file instead, as RFC 9110, 14.2 allows.

    Werkzeug answers one range in bytes, and anything else with 416.
    """
    wanted = parse_range_header(environ.get("HTTP_RANGE"))
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) > 1:
        environ.pop("HTTP_RANGE", None)
