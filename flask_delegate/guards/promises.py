"""Keep what is promised of a private file, whatever the application's hooks do to the response.

Sources: RFC 9111, 3.5 (``private``), 4.1 (``Vary``) and 4.3.4 (what a 304 updates).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from wsgiref.types import WSGIEnvironment

from flask import Flask, request

from ..state import warn_once
from .lost_headers import Sent
from .redirects import PRIVATE, Headers

UNCODED = ("Content-Encoding", "identity")
"""The header by which hooks leave a body uncompressed; it does not leave the application."""

DELIVERS = "delivers_private_files"
"""The attribute of a decorated view, which decorators above it copy with functools.wraps."""

_OF_THE_FILE = {"content-disposition", "etag"}
_OF_THE_BODY = {"content-encoding", "content-range"}


def mark_private(app: Flask, endpoint: str | None, _values: object) -> None:
    """Note that a view delivers files, before anything may answer in its place.

    Flask calls it for each request: see :meth:`flask.Flask.url_value_preprocessor`.
    """
    if hasattr(app.view_functions.get(endpoint or ""), DELIVERS):
        request.environ.setdefault(PRIVATE, []).append(True)


def keep_promises(
    app: Flask, environ: WSGIEnvironment, status: str, headers: Headers
) -> str | None:
    """Restore the headers of a delivered file, and keep each other answer out of shared caches.

    This is a check for :func:`~flask_delegate.guards.redirects.guarded`. A header that had to be
    restored is logged once. A hook's answer to a condition, which it met with an empty response in
    the file's place, is undone: the server that sends the file has its validators.
    """
    if not environ.get(PRIVATE):
        return None
    sent = Sent.of(environ, headers)
    if UNCODED in headers:
        headers.remove(UNCODED)
    if sent is not None and sent.handoff in headers:
        is_undone = status[:3] in {"304", "412"}
        # mod_wsgi drops what else the response has, and sets them all.
        if sent.handoff[0] != "Location" or sent.keeps.headers:
            others = {sent.handoff[0], UNCODED[0], "Vary"}
            made = [one for one in sent.headers if one[0] not in others]
            changes = _delete(headers, sent.delivery.headers(), dict(made))
            changes += _restore(headers, made)
            _report(app, sent, [] if is_undone else changes)
            _vary(headers)
        return "200 OK" if is_undone else None
    if sent is not None and _delivers(sent, status, headers):
        # A partial answer has a type of its own.
        as_made = {name.lower(): value for name, value in sent.headers}
        made = [(name, as_made[name.lower()]) for name in sent.delivery.headers()]
        if status.startswith("304"):  # it leaves out what has not changed
            present = {"cache-control", *(name.lower() for name, _ in headers)}
            made = [one for one in made if one[0].lower() in present]
        _report(app, sent, _restore(headers, made))
    else:
        policy = _words(headers, "cache-control")
        # With a field's name, private="…" is about that field only.
        if not policy & {"private", "no-store"} or "public" in policy:
            _set(headers, "Cache-Control", "private, no-cache")
    _vary(headers)
    return None


def drop_body_headers(environ: WSGIEnvironment, _status: str, headers: Headers) -> None:
    """Drop what a hand-off says of its own, empty body: some servers would say it of the file."""
    sent = Sent.of(environ, headers)
    if sent is not None and sent.handoff in headers:
        headers[:] = [header for header in headers if header[0].lower() not in _OF_THE_BODY]


def _delivers(sent: Sent, status: str, headers: Headers) -> bool:
    """Return whether this is the file: it has something that was made for this file alone."""
    made = [header for header in sent.headers if header[0].lower() in _OF_THE_FILE]
    return status.startswith(("2", "304")) and any(header in made for header in headers)


def _delete(
    headers: Headers, described: Mapping[str, str], made: Mapping[str, str]
) -> list[tuple[str, list[str]]]:
    """Delete headers that the server gets in another way; return those that others have set."""
    changes = []
    for name, value in described.items():
        if name not in made and (found := _values(headers, name.lower())):
            headers[:] = [header for header in headers if header[0].lower() != name.lower()]
            changes += [(name, found)] if found != [value] else []
    return changes


def _restore(headers: Headers, made: Headers) -> list[tuple[str, list[str]]]:
    """Restore headers; return those that were changed, with the values in their place."""
    changes = []
    for name, value in made:
        found = _values(headers, name.lower())
        if found != [value]:
            _set(headers, name, value)
            changes.append((name, found))
    return changes


def _report(app: Flask, sent: Sent, changes: Iterable[tuple[str, list[str]]]) -> None:
    for name, found in changes:
        changed = f"set to {', '.join(map(repr, found))}" if found else "removed"
        message = (
            f"the header {name} was {changed} on the response that delivers"
            f" {sent.delivery.file.relative!r}, and was restored. Use the hand-off's options, or,"
            " if it is the same for every file, DELEGATE_HEADERS."
        )
        warn_once(app, message, f"restored {name}")


def _vary(headers: Headers) -> None:
    if not _words(headers, "vary") & {"cookie", "*"}:
        _set(headers, "Vary", ", ".join([*_values(headers, "vary"), "Cookie"]))


def _words(headers: Headers, lower: str) -> set[str]:
    """Return the members of a header's list, in lower case."""
    return {word.strip().lower() for word in ",".join(_values(headers, lower)).split(",")}


def _values(headers: Headers, lower: str) -> list[str]:
    return [value for name, value in headers if name.lower() == lower]


def _set(headers: Headers, name: str, value: str) -> None:
    headers[:] = [header for header in headers if header[0].lower() != name.lower()]
    headers.append((name, value))
