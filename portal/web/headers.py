"""The security headers of every response."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from flask import Flask, Response, current_app

CONSTANT = MappingProxyType(
    {
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)
"""Headers that pages and delivered files share."""

HSTS = MappingProxyType({"Strict-Transport-Security": "max-age=31536000"})
"""The same where ``PORTAL_HSTS`` is true."""

_NOT_STORED = ("Cache-Control", "no-store")
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self';"
    " media-src 'self'; frame-src 'self'; manifest-src 'self'; worker-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def constant(app: Flask) -> Mapping[str, str]:
    """Return the headers that pages and delivered files of an application share."""
    return CONSTANT | HSTS if app.config["HSTS"] else CONSTANT


def init_app(app: Flask) -> None:
    """Set the headers of every response."""
    app.after_request(_set_headers)


def refusal() -> list[tuple[str, str]]:
    """Return the headers of a plain answer that is given before the application is asked."""
    return [*CONSTANT.items(), ("Content-Security-Policy", _PAGE_POLICY), _NOT_STORED]


def _set_headers(response: Response) -> Response:
    if response.status_code == HTTPStatus.OK and "Location" in response.headers:
        return response  # a hand-off: Apache answers in its place, with the file's own headers
    response.headers.update(constant(current_app))
    # A delivered file has its own policy and caching rules.
    response.headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
    # So have static files; anything else may contain personal data, and an error may be over soon.
    response.headers.setdefault(*_NOT_STORED)
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        response.headers["Cache-Control"] = "no-store"
    return response
