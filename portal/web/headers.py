"""The security headers of every response."""

from __future__ import annotations

from http import HTTPStatus
from types import MappingProxyType

from flask import Flask, Response

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

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self';"
    " media-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def init_app(app: Flask) -> None:
    """Set the headers of every response."""
    app.after_request(_set_headers)


def _set_headers(response: Response) -> Response:
    if response.status_code == HTTPStatus.OK and "Location" in response.headers:
        return response  # a hand-off: Apache answers in its place, with the file's own headers
    response.headers.update(CONSTANT)
    # A delivered file has its own policy and caching rules.
    response.headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
    # So have static files; anything else may contain personal data.
    response.headers.setdefault("Cache-Control", "no-store")
    return response
