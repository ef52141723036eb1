"""mod_wsgi in daemon mode: an empty 200 whose ``Location`` Apache serves in its place.

See "Delegating File Serving To Apache" in mod_wsgi's documentation; RFC 3875, 6.2.2.
"""

from __future__ import annotations

from collections.abc import Mapping

from werkzeug.wrappers import Response

from ..areas import Area
from ..codec import encode
from ..handshake import Mark, check_daemon_mode
from . import Keeps, Sending
from .internal import check_length, internal_url

NAME = "mod_wsgi"
HEADER = "Location"
KEEPS = Keeps(cookies=False, headers=False, rate_limit=True, several_ranges=True)


def check(environ: Mapping[str, object], area: Area, mark: Mark) -> None:
    """See :class:`~flask_delegate.backends.Backend`."""
    check_daemon_mode(environ, area, mark)


def respond(sending: Sending) -> Response:
    """Answer with the hand-off.

    :raises ValueError: if path and metadata do not fit in a header.
    """
    delivery = sending.delivery
    location = f"{internal_url(sending)}?{encode(delivery, sending.mark.token)}"
    check_length(location)
    # Where Apache knows no type it keeps this one, which must not be Flask's text/html.
    response = Response(status=200, content_type=delivery.content_type)
    # An absolute URL would go to the client as it is.
    response.autocorrect_location_header = False
    response.headers[HEADER] = location
    return response
