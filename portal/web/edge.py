"""The edge: what a request says of its client and its host, before the application believes it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.middleware.proxy_fix import ProxyFix

from .headers import refusal

_FORWARDED = "HTTP_X_FORWARDED_FOR"
# An IPv4 address with a port, or an IPv6 one in brackets, as some proxies write them.
_ADDRESS = re.compile(r"\s*(?:\[([^]]+)\]|([0-9.]+)(?=:))(?::[0-9]*)?\s*")
_LABEL = "[A-Za-z0-9_-]{1,63}"
_HOST = re.compile(
    rf"(?=.{{1,259}}$)((?:{_LABEL}\.)*{_LABEL}\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?"
)
_NO_ADDRESS = (
    "The proxy in front of the portal did not say where this request comes from: its header"
    " X-Forwarded-For is missing, or too short for PORTAL_PROXIES."
)
_NO_HOST = "The request's Host header is not the name of a host."


class Edge:
    """A WSGI application behind so many proxies that add to ``X-Forwarded-For`` and the like.

    A client can have some proxies drop a header, by naming it in ``Connection`` (RFC 9110, 7.6.1).
    Its address would be the proxy's then, so the request is refused with 400.
    """

    def __init__(self, application: WSGIApplication, hops: int) -> None:
        self._application = application
        self._believing = ProxyFix(self._checked, x_for=hops, x_proto=hops, x_host=hops)
        self._hops = hops

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 says."""
        if not self._hops:
            return self._checked(environ, start_response)
        given = environ.get(_FORWARDED, "").split(",")
        addresses = [_without_port(one) for one in given if one.strip()]
        if len(addresses) < self._hops:
            return _refuse(start_response, _NO_ADDRESS)
        environ[_FORWARDED] = ",".join(addresses)
        return self._believing(environ, start_response)

    def _checked(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not _is_host(environ.get("HTTP_HOST", "localhost")):
            return _refuse(start_response, _NO_HOST)
        return self._application(environ, start_response)


def _without_port(written: str) -> str:
    found = _ADDRESS.fullmatch(written)
    return found[1] or found[2] if found else written.strip()


def _is_host(written: str) -> bool:
    """Return whether links can be made with it: Werkzeug decodes a host's name by IDNA."""
    found = _HOST.fullmatch(written)
    try:
        return found is not None and bool(found[1].encode().decode("idna"))
    except UnicodeError:
        return False


def _refuse(start_response: StartResponse, sentence: str) -> Iterable[bytes]:
    body = f"{sentence}\n".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("400 Bad Request", headers + refusal())
    return [body]
