"""nginx: a response whose ``X-Accel-Redirect`` names an internal location.

See nginx's documentation of ``ngx_http_proxy_module`` (``proxy_ignore_headers``) and ``internal``.
"""

from __future__ import annotations

from collections.abc import Mapping

from werkzeug.wrappers import Response

from ..areas import Area
from .base import Keeps, Sending
from .described import describing_response
from .handshake import Mark, check_proxy
from .internal import check_length, internal_url

NAME = "nginx"
HEADER = "X-Accel-Redirect"
KEEPS = Keeps(cookies=True, headers=False, rate_limit=True, several_ranges=True)


def check(environ: Mapping[str, object], area: Area, mark: Mark) -> None:
    """See :class:`~flask_delegate.servers.base.Backend`."""
    check_proxy(environ, area, mark, command="nginx-config")


def respond(sending: Sending) -> Response:
    """Answer with the hand-off; nginx keeps name, type and cache policy, and asks for the policy.

    :raises ValueError: if the path does not fit in a header.
    """
    url = f"{internal_url(sending)}?k={sending.mark.token}&id={sending.delivery.id}"
    check_length(url)
    response = describing_response(sending)
    response.headers[HEADER] = url
    if sending.delivery.rate_limit:
        response.headers["X-Accel-Limit-Rate"] = str(sending.delivery.rate_limit)
    return response
