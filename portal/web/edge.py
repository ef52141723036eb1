"""The edge: what a request says, before the application believes it or computes with it.

The length and the characters of each address, header and field are checked here, once for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import unquote_to_bytes
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix

from portal.core.language import gettext
from portal.core.text import is_text
from portal.files.uploads import LONGEST_FORM, UploadRequest
from portal.storage.ballast import current_ballast

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
_LONGEST_ADDRESS = 8190
"""Bytes of a path, and of a query: what Apache takes of both."""
_LONGEST_HEADER = 32 * 1024
"""Bytes."""
_LONGEST_FIELD = 8 * 1024
"""Characters of a form's field, and of its name. What a form has in mind for it is less."""
_MOST_FIELDS = 1000
# What is refused before the application is asked is not translated.
_UNUSABLE = "has control characters, or is not UTF-8. Remove them and try again."


class UnusableTextError(BadRequest):
    """A field of a form cannot be read; the description says why."""


class FieldTooLongError(RequestEntityTooLarge):
    """A field of a form is longer than any may be, or there are too many; it says what may be."""


class Request(UploadRequest):
    """A request whose form has been checked when it is read."""

    def _load_form_data(self) -> None:
        is_new = "form" not in self.__dict__
        super()._load_form_data()
        if is_new:
            _check_fields(self.form)
            _check_fields(MultiDict((name, "") for name in self.files))


def _check_fields(fields: MultiDict[str, str]) -> None:
    if sum(1 for _ in fields.items(multi=True)) > _MOST_FIELDS:
        raise FieldTooLongError(
            gettext("A form can have at most %(most)s fields. Send fewer.", most=_MOST_FIELDS)
        )
    for name, value in fields.items(multi=True):
        if len(name) > _LONGEST_FIELD or len(value) > _LONGEST_FIELD:
            raise FieldTooLongError(
                gettext(
                    "A field can have at most %(longest)s characters. Enter a shorter text.",
                    longest=_LONGEST_FIELD,
                )
            )
        if not is_text(name) or not is_text(value):
            raise UnusableTextError(
                gettext(
                    "What was entered has control characters, or is not UTF-8. Remove them and try"
                    " again."
                )
            )


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
        if refused := _refusal(environ):
            return _refuse(start_response, *refused)
        return self._application(environ, start_response)


class Room:
    """An application whose small requests find room on a full disk, such as to sign in."""

    def __init__(self, app: Flask) -> None:
        self._application = app.wsgi_app
        with app.app_context():
            self._ballast = current_ballast()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 says."""
        if environ["REQUEST_METHOD"] not in {"POST", "DELETE"} or _is_large(environ):
            return self._application(environ, start_response)
        with self._ballast.room():
            return self._application(environ, start_response)


def _is_large(environ: WSGIEnvironment) -> bool:
    length = environ.get("CONTENT_LENGTH") or "0"
    return not length.isdecimal() or int(length) > LONGEST_FORM


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


def _refusal(environ: WSGIEnvironment) -> tuple[str, HTTPStatus] | None:
    """Return what is wrong with an address or a header, and its status."""
    for what, key in (("address", "PATH_INFO"), ("query", "QUERY_STRING")):
        given = environ.get(key, "")
        if _is_plain(given) and "%" not in given:
            continue
        if len(given) > _LONGEST_ADDRESS:
            say = f"The {what} is longer than {_LONGEST_ADDRESS} bytes. Send less in it."
            return say, HTTPStatus.REQUEST_URI_TOO_LONG
        try:
            is_usable = is_text(unquote_to_bytes(given.encode("latin-1")).decode())
        except UnicodeError:
            is_usable = False
        if not is_usable:
            return f"The {what} {_UNUSABLE}", HTTPStatus.BAD_REQUEST
    for key, given in environ.items():
        if not key.startswith("HTTP_") or _is_plain(given):
            continue
        name = key.removeprefix("HTTP_").replace("_", "-").title()
        if len(given) > _LONGEST_HEADER:
            say = f"The header {name:.99} is longer than {_LONGEST_HEADER} bytes. Send less in it."
            return say, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        # One of another application, such as a cookie, may have another encoding.
        if not is_text(given.encode("latin-1", "replace").decode(errors="replace")):
            return f"The header {name:.99} {_UNUSABLE}", HTTPStatus.BAD_REQUEST
    return None


def _is_plain(given: str) -> bool:
    """Return whether text is short, and printable ASCII: most is, and this is found out quickly."""
    return len(given) <= _LONGEST_ADDRESS and given.isascii() and given.isprintable()


def _refuse(
    start_response: StartResponse, sentence: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST
) -> Iterable[bytes]:
    body = f"{sentence}\n".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers + refusal())
    return [body]
