"""The page to go on to: what a request asks for, or where a form was, if it is of this site."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request, url_for

_LONGEST_TARGET = 1024
"""Bytes of an address to go on to. It waits for the code in a cookie, which browsers keep short."""


def is_local(target: str) -> bool:
    r"""Return whether a redirect stays on this site, and is short enough to wait for a code.

    Browsers read ``//host`` and ``/\host`` as another site, and drop control characters first.
    """
    return (
        target.startswith("/")
        and not target.startswith("//")
        and "\\" not in target
        and target.isprintable()
        and len(target.encode()) <= _LONGEST_TARGET
    )


def next_page(otherwise: str | None = None) -> str:
    """Return the page of this site that the request asks to go on to.

    :param otherwise: the page if it asks for none; none: my files.
    """
    target = request.values.get("next", "").strip()
    if is_local(target):
        return target
    return url_for("files.index") if otherwise is None else otherwise


def page_of_form() -> str | None:
    """Return the page of this site that sent this form, as far as the browser says it."""
    try:
        page = urlsplit(request.referrer or "")
    except ValueError:
        return None
    target = f"{page.path}?{page.query}" if page.query else page.path
    return target if page.netloc == request.host and is_local(target) else None
