"""Reverse proxies in front: what they say of the client is believed, and without it nothing is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.middleware.proxy_fix import ProxyFix

_HEADER = "HTTP_X_FORWARDED_FOR"
# An IPv4 address with a port, or an IPv6 one in brackets, as some proxies write them.
_ADDRESS = re.compile(r"\s*(?:\[([^]]*)\]|([0-9.]+)(?=:))(?::[0-9]*)?\s*")
_REFUSAL = (
    b"The proxy in front of the portal did not say where this request comes from: its header"
    b" X-Forwarded-For is missing, or too short for PORTAL_PROXIES.\n"
)


class Proxies:
    """A WSGI application behind so many proxies that add to ``X-Forwarded-For`` and the like.

    A client can have some proxies drop a header, by naming it in ``Connection`` (RFC 9110, 7.6.1).
    Its address would be the proxy's then, so the request is refused with 400.
    """

    def __init__(self, application: WSGIApplication, hops: int) -> None:
        self._application = ProxyFix(application, x_for=hops, x_proto=hops, x_host=hops)
        self._hops = hops

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 says."""
        addresses = [
            _without_port(one) for one in environ.get(_HEADER, "").split(",") if one.strip()
        ]
        if len(addresses) < self._hops:
            headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(_REFUSAL)))]
            start_response("400 Bad Request", headers)
            return [_REFUSAL]
        environ[_HEADER] = ",".join(addresses)
        return self._application(environ, start_response)


def _without_port(written: str) -> str:
    found = _ADDRESS.fullmatch(written)
    return found[1] or found[2] if found else written.strip()
