"""Apache's mod_xsendfile: a response whose ``X-Sendfile`` names the file on disk.

Always 200 and without a body: the module answers ranges and conditions itself, from the validators
that are set here, and cuts the body short where the application answered a range before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from werkzeug.wrappers import Response

from ..areas import Area
from ..exceptions import HandoffUnavailable
from .base import Keeps, Sending
from .described import describing_response, set_validators
from .handshake import Mark, check_proxy

NAME = "xsendfile"
HEADER = "X-Sendfile"
KEEPS = Keeps(cookies=True, headers=True, rate_limit=False, several_ranges=True)

# The path is taken as it is. Blanks at its ends would be cut off, and controls end the header.
_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f]|\s$")


def check(environ: Mapping[str, object], area: Area, mark: Mark) -> None:
    """See :class:`~flask_delegate.servers.base.Backend`."""
    check_proxy(environ, area, mark, command="apache-config")


def respond(sending: Sending) -> Response:
    """Answer with the hand-off.

    :raises HandoffUnavailable: for a name that no header can carry.
    """
    path = sending.delivery.file.path
    if _UNSENDABLE.search(path):
        raise HandoffUnavailable(
            sending.area.name,
            f"X-Sendfile cannot carry the name {path!r}.",
            "Rename the file, or use another backend.",
        )
    response = describing_response(sending)
    set_validators(response, sending.delivery.file)
    # WSGI's headers are Latin-1 (PEP 3333); the bytes are those of the file system.
    response.headers[HEADER] = path.encode("utf-8", "surrogateescape").decode("latin-1")
    return response
