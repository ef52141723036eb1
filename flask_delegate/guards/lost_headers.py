"""What a hand-off would lose of the application's response, said before anybody misses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, Response, has_request_context, request, session

from ..exceptions import LostCookies
from ..handoff import Delivery
from ..servers.base import Keeps
from .redirects import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SENT = "delegate.sent"
"""The environ key under which a request keeps the :class:`Sent` that its view made."""

# What the server answers with of its own, or what passes.
_PASSES = frozenset(
    {
        "accept-ranges",
        "connection",
        "content-length",
        "content-range",
        "date",
        "server",
        "set-cookie",
        "vary",
        "www-authenticate",
    }
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery and the response that was made for it.

    :param headers: the response's headers as they were made.
    :param keeps: what passes where the file is handed off, even if this one is streamed.
    """

    delivery: Delivery
    response: Response
    headers: Headers
    keeps: Keeps

    def expected(self) -> Mapping[str, str]:
        """Give the headers that the extension set, or has the server set, by lower-case name."""
        made = [*self.delivery.headers().items(), *self.headers]
        return {name.lower(): value for name, value in made}


class LostHeaders:
    """A check for :class:`~flask_delegate.guard.ResponseGuard`.

    Files that are streamed because no server is there are checked as well: what works in
    development should not disappear behind Apache.

    :param app: the application, for its session cookie, logger and debug flags.
    :param constant: the headers that every delivered file carries.
    """

    def __init__(self, app: Flask, constant: Mapping[str, str]) -> None:
        self._app = app
        self._constant = {name.lower(): value for name, value in constant.items()}
        self._warned: set[str] = set()

    def __call__(self, environ: WSGIEnvironment, status: str, headers: Headers) -> None:
        """Look at one response.

        :raises LostCookies: in debug mode and in tests.
        """
        sent: Sent | None = environ.get(SENT)
        if sent is None:
            return
        added = [header for header in headers if header not in sent.headers]
        if not added or not _delivers(sent.delivery, status, headers):
            return
        if not sent.keeps.cookies and (cookies := self._lost_cookies(added)):
            self._tell_of_cookies(cookies, sent)
        if not sent.keeps.headers:
            expected = sent.expected()
            for name, value in added:
                if not self._passes(name.lower(), value, expected):
                    self._tell_of_header(name, sent)

    def _lost_cookies(self, headers: Headers) -> tuple[str, ...]:
        """Name the cookies whose loss would be noticed.

        A session that was not changed, but whose cookie is refreshed, is written again by the
        next page.
        """
        cookies = [value.partition("=") for name, value in headers if name.lower() == "set-cookie"]
        return tuple(
            name.strip()
            for name, _, rest in cookies
            if not self._is_refresh(name.strip(), rest.partition(";")[0].strip())
        )

    def _is_refresh(self, name: str, value: str) -> bool:
        if not has_request_context():
            return False
        if name != self._app.session_interface.get_cookie_name(self._app):
            return False
        return not session.modified or request.cookies.get(name) == value

    def _tell_of_cookies(self, names: tuple[str, ...], sent: Sent) -> None:
        error = LostCookies(names)
        if self._app.debug or self._app.testing:
            sent.response.close()
            raise error
        if self._is_news(f"cookies {names}"):
            self._app.logger.warning("%s", error)

    def _passes(self, key: str, value: str, expected: Mapping[str, str]) -> bool:
        return key in _PASSES or value in (self._constant.get(key), expected.get(key))

    def _tell_of_header(self, name: str, sent: Sent) -> None:
        if self._is_news(name.lower()):
            self._app.logger.warning(
                "the header %s, set on the response that delivers %r, is lost where the web server"
                " answers in its place. Use the hand-off's options, or, if it is the same for"
                " every file, DELEGATE_HEADERS.",
                name,
                sent.delivery.file.relative,
            )

    def _is_news(self, what: str) -> bool:
        news = what not in self._warned
        self._warned.add(what)
        return news


def _delivers(delivery: Delivery, status: str, headers: Headers) -> bool:
    """Tell a delivered file from another response of the same request, such as an error page."""
    names = {name.lower(): value for name, value in headers}
    described = names.get("content-disposition") == delivery.disposition
    return status.startswith("2") and (described or "location" in names)
