"""What a hand-off would lose of the application's response, said before anybody misses it."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING

from flask import Flask, Response, has_request_context, request, session

from .exceptions import LostCookies
from .guard import Headers
from .handoff import Delivery

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SENT = "flask_delegate.sent"
"""The environ key under which a request keeps the :class:`Sent` that its view made."""

# What Apache answers with of its own, or the generated configuration sets.
_SURVIVES = frozenset(
    {
        "accept-ranges",
        "cache-control",
        "connection",
        "content-disposition",
        "content-length",
        "content-range",
        "content-security-policy",
        "content-type",
        "date",
        "etag",
        "last-modified",
        "location",
        "server",
        "vary",
        "www-authenticate",
        "x-content-type-options",
    }
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery and the response that was made for it."""

    delivery: Delivery
    response: Response


class LostHeaders:
    """A check for :class:`~flask_delegate.guard.ResponseGuard`.

    Streamed files are checked as well, unless streaming was chosen: what works in development
    should not disappear behind Apache.

    :param app: the application, for its session cookie, logger and debug flags.
    :param constant: the headers that every delivered file carries.
    """

    def __init__(self, app: Flask, constant: dict[str, str]) -> None:
        self._app = app
        self._constant = {name.lower(): value for name, value in constant.items()}
        self._warned: set[str] = set()

    def __call__(self, environ: WSGIEnvironment, status: str, headers: Headers) -> None:
        """Look at one response.

        :raises LostCookies: in debug mode and in tests.
        """
        sent: Sent | None = environ.get(SENT)
        if sent is None or not _delivers(sent.delivery, status, headers):
            return
        if cookies := self._lost_cookies(headers):
            error = LostCookies(cookies)
            if self._app.debug or self._app.testing:
                sent.response.close()
                raise error
            self._app.logger.warning("%s", error)
        for name, value in headers:
            self._warn_once(name, value, sent.delivery)

    def _lost_cookies(self, headers: Headers) -> tuple[str, ...]:
        """Name the cookies whose loss would be noticed.

        A session that was not changed, but whose cookie is refreshed, is written again by the
        next page.
        """
        return tuple(
            cookie.key
            for name, value in headers
            if name.lower() == "set-cookie"
            for cookie in SimpleCookie(value).values()
            if not self._is_refresh(cookie.key, cookie.value)
        )

    def _is_refresh(self, name: str, value: str) -> bool:
        if name != self._app.config["SESSION_COOKIE_NAME"] or not has_request_context():
            return False
        return not session.modified or request.cookies.get(name) == value

    def _warn_once(self, name: str, value: str, delivery: Delivery) -> None:
        key = name.lower()
        if key in _SURVIVES or key == "set-cookie" or self._constant.get(key) == value:
            return
        if key in self._warned:
            return
        self._warned.add(key)
        self._app.logger.warning(
            "the header %s, set on the response that delivers %r, is lost where Apache answers in"
            " its place. If it is the same for every file, put it into DELEGATE_HEADERS.",
            name,
            delivery.file.relative,
        )


def _delivers(delivery: Delivery, status: str, headers: Headers) -> bool:
    """Tell a delivered file from another response of the same request, such as an error page."""
    names = {name.lower(): value for name, value in headers}
    streamed = names.get("content-disposition") == delivery.disposition
    return status.startswith("2") and (streamed or "location" in names)
