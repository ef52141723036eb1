"""Keep what is promised of a private file, whatever the application's hooks do to the response.

Sources: RFC 9111, 3.5 (``private``) and 4.1 (``Vary``).
"""

from __future__ import annotations

from wsgiref.types import WSGIEnvironment

from flask import Flask

from ..state import warn_once
from .lost_headers import SENT, Sent
from .redirects import Headers

PRIVATE = "delegate.private"
"""The environ key that a decorated view sets: no shared cache may keep its answer."""

_OF_THE_FILE = {"content-disposition", "etag", "x-accel-redirect", "x-sendfile"}


def keep_promises(app: Flask, environ: WSGIEnvironment, status: str, headers: Headers) -> None:
    """Restore the headers of a delivered file, and keep each other answer out of shared caches.

    This is a check for :func:`~flask_delegate.guards.redirects.guarded`. A header that had to be
    restored is logged once.
    """
    sent: Sent | None = environ.get(SENT)
    if sent is None and PRIVATE not in environ:
        return
    if sent is not None and any(
        header in sent.headers for header in headers if header[0] == "Location"
    ):
        return  # Apache sets them all
    if sent is None or not _delivers(sent, status, headers):
        policy = _words(headers, "cache-control")
        # With a field's name, private="…" is about that field only.
        if not policy & {"private", "no-store"} or "public" in policy:
            _set(headers, "Cache-Control", "private, no-cache")
    else:
        made = {name.lower(): value for name, value in sent.headers}
        for name in sent.delivery.headers():
            found = [given for key, given in headers if _is(key, name.lower())]
            value = made[name.lower()]  # a partial answer has a type of its own
            if found != [value]:
                _set(headers, name, value)
                warn_once(app, _restored(name, found, sent), f"restored {name}")
    if not _words(headers, "vary") & {"cookie", "*"}:
        vary = [value for name, value in headers if _is(name, "vary")]
        _set(headers, "Vary", ", ".join([*vary, "Cookie"]))


def _delivers(sent: Sent, status: str, headers: Headers) -> bool:
    """Return whether this is the file: it has something that was made for this file alone."""
    made = [header for header in sent.headers if header[0].lower() in _OF_THE_FILE]
    return status.startswith("2") and any(header in made for header in headers)


def _restored(name: str, found: list[str], sent: Sent) -> str:
    changed = f"set to {', '.join(map(repr, found))}" if found else "removed"
    return (
        f"the header {name} was {changed} on the response that delivers"
        f" {sent.delivery.file.relative!r}, and was restored. Use the hand-off's options, or, if it"
        " is the same for every file, DELEGATE_HEADERS."
    )


def _words(headers: Headers, lower: str) -> set[str]:
    """Return the members of a header's list, in lower case."""
    values = ",".join(value for name, value in headers if _is(name, lower))
    return {word.strip().lower() for word in values.split(",")}


def _is(name: str, lower: str) -> bool:
    return name.lower() == lower


def _set(headers: Headers, name: str, value: str) -> None:
    headers[:] = [header for header in headers if not _is(header[0], name.lower())]
    headers.append((name, value))
