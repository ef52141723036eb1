"""mod_wsgi in daemon mode: an empty 200 whose ``Location`` Apache serves in its place.

See "Delegating File Serving To Apache" in mod_wsgi's documentation; RFC 3875, 6.2.2.
"""

from __future__ import annotations

from urllib.parse import quote_from_bytes

from werkzeug.wrappers import Response

from ..areas import Area
from ..codec import encode
from ..handoff import Delivery
from ..resolve import PrivateFile

_LONGEST = 16_000  # bytes; mod_wsgi reads at most 32 KiB of response headers


def location_for(area: Area, file: PrivateFile) -> str:
    """Give a file's internal URL, each byte outside RFC 3986's unreserved set quoted once."""
    relative = file.relative.encode("utf-8", "surrogateescape")
    return area.url + quote_from_bytes(relative, safe="/")


def respond(delivery: Delivery, area: Area, token: str) -> Response:
    """Answer with the hand-off.

    :raises ValueError: if path and metadata do not fit in a header.
    """
    location = f"{location_for(area, delivery.file)}?{encode(delivery, token)}"
    if len(location) > _LONGEST:
        raise ValueError(f"the hand-off of {delivery.file.relative!r} needs {len(location)} bytes")
    # Where Apache knows no type it keeps this one, which must not be Flask's text/html.
    response = Response(status=200, content_type=delivery.content_type)
    # An absolute URL would go to the client as it is.
    response.autocorrect_location_header = False
    response.headers["Location"] = location
    return response
