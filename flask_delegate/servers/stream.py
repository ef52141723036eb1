"""Any other server: the application sends the file itself, ranges and conditions included."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any, BinaryIO
from wsgiref.types import WSGIEnvironment

from werkzeug.http import parse_range_header
from werkzeug.wrappers import Response
from werkzeug.wsgi import FileWrapper, wrap_file

from ..areas import Area
from ..delivery import Delivery
from .base import Keeps, Server, describing_response, set_validators
from .handshake import Keys


class Stream(Server):
    """See the module."""

    name = "stream"
    keeps = Keeps(cookies=True, headers=True, rate_limit=False, several_ranges=False)

    def check(self, environ: Mapping[str, object], area: Area, keys: Keys) -> None:
        """Do nothing: every server will do."""

    def respond(self, delivery: Delivery, keys: Keys, environ: WSGIEnvironment) -> Response:
        """Return the file's content.

        :raises FileRefused: if the file is no longer there.
        :raises werkzeug.exceptions.RequestedRangeNotSatisfiable: as the name says.
        """
        del keys
        environ, file = dict(environ), delivery.file
        _ignore_unusable_ranges(environ)
        with ExitStack() as on_error:
            opened = on_error.enter_context(file.open())
            response = describing_response(delivery)
            response.response = _body(environ, opened)
            response.direct_passthrough = True
            response.content_length = file.size
            response.headers["Accept-Ranges"] = "bytes"
            set_validators(response, file)
            response.make_conditional(environ, accept_ranges=True, complete_length=file.size)
            if response.status_code == HTTPStatus.PRECONDITION_FAILED:
                response.direct_passthrough = False
                response.set_data(b"")
            on_error.pop_all()
        response.call_on_close(opened.close)
        return response


def _body(environ: WSGIEnvironment, opened: BinaryIO) -> Any:
    # Werkzeug's wrapper can seek to a range's start; a server's own would be read up to there.
    return FileWrapper(opened) if "HTTP_RANGE" in environ else wrap_file(environ, opened)


def _ignore_unusable_ranges(environ: WSGIEnvironment) -> None:
    # The whole file is sent instead, as RFC 9110, 14.2 allows; Werkzeug would answer 416.
    wanted = parse_range_header(environ.get("HTTP_RANGE"))
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) > 1:
        environ.pop("HTTP_RANGE", None)
