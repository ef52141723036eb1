"""mod_wsgi in daemon mode: an empty 200 whose ``Location`` Apache serves in its place.

See "Delegating File Serving To Apache" in mod_wsgi's documentation; RFC 3875, 6.2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.datastructures import Headers

from ..areas import Area
from .base import Keeps, Sending
from .codec import encode
from .handshake import Mark, check_daemon_mode
from .internal import check_length, internal_url

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

NAME = "mod_wsgi"
HEADER = "Location"
KEEPS = Keeps(cookies=False, headers=False, rate_limit=True, several_ranges=True)


def check(environ: Mapping[str, object], area: Area, mark: Mark) -> None:
    """See :class:`~flask_delegate.servers.base.Backend`."""
    check_daemon_mode(environ, area, mark)


def respond(sending: Sending) -> Response:
    """Answer with the hand-off.

    :raises ValueError: if path and metadata do not fit in a header.
    """
    delivery = sending.delivery
    location = f"{internal_url(sending)}?{encode(delivery, sending.mark.token)}"
    check_length(location)
    # Where Apache knows no type it keeps this one, which must not be Flask's text/html.
    headers = {"Content-Type": delivery.content_type, HEADER: location, "Content-Length": "0"}
    response = HandedOff(status=200, headers=Headers(headers))
    response.autocorrect_location_header = False  # where the application has its own class
    return response


class HandedOff(Response):
    """A response whose ``Location`` is for Apache: already a URL, and not to be made absolute.

    Werkzeug would take it apart and quote it once more, in a third of the time that the extension
    needs for a request.
    """

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:  # noqa: ARG002
        """Give the headers as they are."""
        return Headers(self.headers)
