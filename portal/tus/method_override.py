"""The method of a request whose client can send none but GET and POST."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_ROOT = "/uploads/"


class MethodOverride:
    """A WSGI application whose uploads believe ``X-HTTP-Method-Override``.

    The header is taken for the method, whatever the request's own is, as the protocol demands. It
    counts for requests of the protocol only, which no other site's page can have a browser send.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 says."""
        method = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE")
        is_tus = environ.get("PATH_INFO", "").startswith(_ROOT) and "HTTP_TUS_RESUMABLE" in environ
        if method and is_tus:
            # The server sends a body, and its length, unless the request's own method is HEAD.
            environ["REQUEST_METHOD"] = "GET" if method == "HEAD" else method
        return self._application(environ, start_response)
