"""The security headers of every response."""

from __future__ import annotations

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
"""What pages and delivered files have in common."""

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self';"
    " media-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)


def init_app(app: Flask) -> None:
    """Set the headers on everything that the application answers."""
    app.after_request(_set_headers)


def _set_headers(response: Response) -> Response:
    response.headers.update(CONSTANT)
    # A delivered file comes with a policy and caching rules of its own.
    response.headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
    # Static files have caching rules, too; all else may hold somebody's data.
    response.headers.setdefault("Cache-Control", "no-store")
    return response
