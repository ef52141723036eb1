"""Warnings of what a hand-off loses of the application's response."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from wsgiref.types import WSGIEnvironment

from flask import Flask, Response, has_request_context, request, session

from ..delivery import Delivery
from ..exceptions import LostCookies
from ..servers.base import Keeps
from ..state import warn_once
from .redirects import SENT, Headers

# Headers that the server sets itself, or that pass.
_PASSES = re.compile(
    "accept-ranges|connection|content-(length|range)|date|server|vary|www-authenticate",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery and the response that was made for it.

    :param headers: the response's headers as they were made.
    :param handoff: the header that hands the file off; none: it is streamed.
    :param keeps: what passes where the file is handed off, even if this one is streamed.
    """

    delivery: Delivery
    response: Response
    headers: Headers
    handoff: tuple[str, str] | None
    keeps: Keeps

    @classmethod
    def of(cls, environ: WSGIEnvironment, headers: Headers) -> Sent | None:
        """Return the one that a response hands off, or the last, or none."""
        sent: list[Sent] | None = environ.get(SENT)
        if not sent:
            return None
        for one in sent:
            if one.handoff in headers:
                return one
        return sent[-1]

    def expected(self) -> Mapping[str, str]:
        """Return the headers that the extension or the server sets, by lower-case name."""
        made = [*self.delivery.headers().items(), *self.headers]
        return {name.lower(): value for name, value in made}


def warn_of_losses(app: Flask, environ: WSGIEnvironment, status: str, headers: Headers) -> None:
    """Warn of what the response adds to a delivery, and a hand-off would drop.

    This is a check for :func:`~flask_delegate.guards.redirects.guarded`. Files that are
    streamed because no server is there are checked as well: what works in development should not
    disappear behind Apache.

    :param app: the application, for its session cookie, logger and debug flags.
    :raises LostCookies: in debug mode and in tests.
    """
    sent = Sent.of(environ, headers)
    if sent is None:
        return
    added = [
        (name, value)
        for name, value in headers
        if (name, value) not in sent.headers and not _PASSES.fullmatch(name)
    ]
    if not added or not _delivers(sent, status, headers):
        return
    if not sent.keeps.cookies and (cookies := lost_cookies(app, added)):
        error = LostCookies(cookies)
        if app.debug or app.testing:
            sent.response.close()
            raise error
        warn_once(app, str(error), f"cookies {cookies}")
    expected = sent.expected()
    for name, value in added:
        key = name.lower()
        is_kept = sent.keeps.coding if key == "content-encoding" else sent.keeps.headers
        if not is_kept and key != "set-cookie" and value != expected.get(key):
            warn_once(app, _lost(name, sent.delivery.file.relative), key)


def _lost(name: str, file: str) -> str:
    cure = (
        "Use the hand-off's options, or, if it is the same for every file, DELEGATE_HEADERS."
        if name.lower() != "content-encoding"
        else "The client would take a compressed file for what its type says: deliver it as what it"
        " is, such as application/gzip, or set DELEGATE_BACKEND = 'stream' for its area."
    )
    return (
        f"the header {name}, set on the response that delivers {file!r}, is lost where the web"
        f" server answers in its place. {cure}"
    )


def lost_cookies(app: Flask, headers: Headers) -> tuple[str, ...]:
    """Return the cookies whose loss would be noticed: the next page refreshes a session's."""
    cookies = [value.partition("=") for name, value in headers if name.lower() == "set-cookie"]
    return tuple(
        name.strip()
        for name, _, rest in cookies
        if not _is_refresh(app, name.strip(), rest.partition(";")[0].strip())
    )


def _is_refresh(app: Flask, name: str, value: str) -> bool:
    session_cookie = app.session_interface.get_cookie_name(app)
    if name != session_cookie or not has_request_context():
        return False
    return not session.modified or request.cookies.get(name) == value


def _delivers(sent: Sent, status: str, headers: Headers) -> bool:
    """Return whether this is the delivered file, not another response such as an error page."""
    names = {name.lower(): value for name, value in headers}
    described = names.get("content-disposition") == sent.delivery.disposition
    return status.startswith("2") and (described or sent.handoff in headers)
