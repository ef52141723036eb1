"""Check each response for hand-offs that this package did not make.

Apache with mod_wsgi in daemon mode or with mod_proxy_scgi follows a local ``Location`` in a 200 to
wherever it points, inside the application or outside. Only the one that this package made may pass.
Nothing here knows Flask.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from ..exceptions import UnmintedRedirect
from ..servers.handshake import PROCESS_GROUP, SCGI

Headers = list[tuple[str, str]]
Check = Callable[[WSGIEnvironment, str, Headers], str | None]
"""Called with environ, status line and headers, which it may change; returns another status line,
or none to keep it; raises to object."""

# Environ keys of what a request's view did, each of a list: middleware that copies the environ
# shares it.
MINTED = "delegate.minted"
"""The header values of this request's hand-offs."""
SENT = "delegate.sent"
"""The :class:`~flask_delegate.guards.lost_headers.Sent` of each delivery."""
PRIVATE = "delegate.private"
"""Not empty where a file was asked for: no shared cache may keep the answer."""

_ALTERED = (
    "the hand-off's status or header was changed afterwards, as by a hook: leave both alone, and"
    " ranges to the server that sends the file."
)
_CACHED = (
    "it is another request's hand-off, from a cache of responses. Put @delegated above the cache:"
    " then each request is authorised, and the cache keeps the path that the view returns."
)

# How mod_wsgi reads a status, by C's atoi(): "200 OK", "0200", " 200x" are all 200.
_TWO_HUNDRED = re.compile(r"\s*\+?0*200(?!\d)")


def guarded(
    application: WSGIApplication,
    checks: Iterable[Check],
    report: Callable[[UnmintedRedirect], object],
) -> WSGIApplication:
    """Return a WSGI application that runs checks before a response starts.

    A redirect that a check stops becomes a 500.

    :param application: the one to guard.
    :param checks: they run one after the other, each on what the one before left.
    :param report: called with a redirect that was stopped.
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        for key in (MINTED, SENT, PRIVATE):
            environ.setdefault(key, [])

        def checked(status: str, headers: Headers, *exc_info: object) -> object:
            for check in checks:
                status = check(environ, status, headers) or status
            return start_response(status, headers, *exc_info)  # type: ignore[arg-type]

        try:
            return application(environ, checked)  # type: ignore[arg-type]
        except UnmintedRedirect as error:
            report(error)
            headers = [("Content-Type", "text/plain"), ("Content-Length", "22")]
            headers.append(("Cache-Control", "no-store"))
            start_response("500 Internal Server Error", headers)
            return [b"Internal Server Error\n"]

    return answer


def stop_unminted(
    places: tuple[str, ...], environ: WSGIEnvironment, status: str, headers: Headers
) -> None:
    """Refuse each local redirect that Apache would follow but the request's own hand-off.

    :param places: the URLs and folders of hand-offs, by which one from a cache is known.
    :raises UnmintedRedirect: for any other, and for a hand-off that was altered, which would show
        the internal URL to the client.
    """
    if not (environ.get(PROCESS_GROUP) or environ.get(SCGI)):
        return
    locations = _values(headers, "location")
    if not locations:
        return
    minted: list[str] = environ[MINTED]
    # A Status header replaces the status line, in spellings that only C's atoi() understands.
    has_status_header = bool(_values(headers, "status"))
    is_followed = bool(_TWO_HUNDRED.match(status)) or has_status_header
    if is_followed and not has_status_header and len(locations) == 1 and locations[0] in minted:
        return
    if any(made in location for made in minted for location in locations):
        reason = _ALTERED
    elif any(location.startswith(places) for location in locations):
        reason = _CACHED
    elif not is_followed or not any(location.startswith("/") for location in locations):
        return
    elif has_status_header:
        reason = "its Status header may have Apache serve that URL in its place; leave it out."
    else:
        reason = "with status 200 Apache would serve that URL in its place; use a 3xx to redirect."
    raise UnmintedRedirect("Location", locations[-1], status, reason)


def stop_unminted_header(
    name: str, places: tuple[str, ...], environ: WSGIEnvironment, status: str, headers: Headers
) -> None:
    """Refuse each header ``name``, which hands a file off, but the request's own hand-off.

    :param places: as in :func:`stop_unminted`.
    :raises UnmintedRedirect: for any other, and for another status than 200, with which the server
        would cut the file short.
    """
    values = _values(headers, name.lower())
    if not values:
        return
    minted = environ[MINTED]
    if not minted and values[-1].startswith(places):
        reason = _CACHED
    elif len(values) > 1 or values[0] not in minted:
        reason = "the extension did not make it, and the server would send what it names."
    elif not _TWO_HUNDRED.match(status):
        reason = _ALTERED
    else:
        return
    raise UnmintedRedirect(name, values[-1], status, reason)


def _values(headers: Headers, name: str) -> list[str]:
    # To mod_wsgi, a name ends at a NUL.
    return [
        value.strip()
        for key, value in headers
        if name in key.lower() and key.partition("\0")[0].strip().lower() == name
    ]
