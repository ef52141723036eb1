"""The extension itself. A request is authorised, the file resolved and described, and sent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, current_app, has_request_context, request

from . import errors, server
from .areas import Area
from .cli import delegate as command
from .config import AUTO, DEFAULTS, Settings, parse
from .doctor import route as probe
from .exceptions import DelegateError, HandoffUnavailable
from .guards.lost_headers import SENT, LostHeaders, Sent
from .guards.redirects import MINTED, Check, ResponseGuard, StopUnmintedHeader, stop_unminted
from .handoff import Handoff, describe
from .resolve import resolve
from .servers import handshake, signing, stream
from .servers import mod_wsgi as location
from .servers import nginx as accel
from .servers import xsendfile as sendfile
from .servers.base import Backend, Sending
from .signals import file_delegated

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_KEY = "delegate"
_NO_MARK = handshake.Mark("", "")
_BACKENDS: Mapping[str, Backend] = {
    backend.NAME: backend for backend in (location, accel, sendfile, stream)
}


@dataclass(frozen=True, slots=True)
class State:
    """What the extension keeps of one application, in ``app.extensions["delegate"]``."""

    settings: Settings
    marks: Mapping[str, handshake.Mark]
    old_marks: Mapping[str, tuple[handshake.Mark, ...]]
    told: set[tuple[str, str]] = field(default_factory=set)

    def mark(self, area: Area) -> handshake.Mark:
        """Give an area's mark; where nothing is handed off, an empty one."""
        return self.marks.get(area.name, _NO_MARK)


class Delegate:
    """Delegates the sending of private files to the web server.

    :param app: an application to set up at once; otherwise call :meth:`init_app`.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set up an application. Its configuration, ``SECRET_KEY`` included, must be complete.

        :raises ConfigurationError: naming the setting at fault and the cure.
        :raises RuntimeError: if the application was set up before.
        """
        if _KEY in app.extensions:
            raise RuntimeError("Delegate is already set up for this application.")
        for key, value in DEFAULTS.items():
            app.config.setdefault(key, value)
        settings = parse(app)
        app.extensions[_KEY] = State(settings, *_marks(settings))
        app.wsgi_app = ResponseGuard(  # type: ignore[method-assign]
            app.wsgi_app,
            _checks(app, settings),
            report=lambda error: app.logger.error("%s", error),
        )
        app.register_error_handler(DelegateError, errors.answer)
        app.cli.add_command(command)
        probe.register(app)


def send_via_apache(
    path: str | os.PathLike[str],
    *,
    area: str | None = None,
    as_attachment: bool = False,
    download_name: str | None = None,
    mimetype: str | None = None,
    max_age: int | None = None,
    csp: str | None = None,
    rate_limit: int | None = None,
) -> Response:
    """Make the response that delivers a private file. The caller has decided that it may.

    :param path: relative to the area's root.

    The other arguments are those of :class:`~flask_delegate.Handoff`.

    :raises FileRefused: if it is not a readable regular file below the root.
    :raises HandoffUnavailable: if streaming is ruled out and the server is not ready.
    :raises UnknownArea: if there is no such area.
    :raises ValueError: if an argument is out of its range.
    """
    return send(
        Handoff(
            path,
            area=area,
            as_attachment=as_attachment,
            download_name=download_name,
            mimetype=mimetype,
            max_age=max_age,
            csp=csp,
            rate_limit=rate_limit,
        )
    )


def send(handoff: Handoff) -> Response:
    """Make the response for a hand-off: see :func:`send_via_apache`."""
    # The proxies are looked up once: each use of one costs as much as a look at the disk.
    app, environ = current_app._get_current_object(), request.environ  # type: ignore[attr-defined]
    state = state_of(app)
    area = state.settings.area(handoff.area)
    file = resolve(area.root, handoff.path)
    delivery = describe(handoff, file)
    backend, mark = _choose(state, area, environ)
    response: Response = app.make_response(
        backend.respond(Sending(delivery, area, mark, environ, state.settings.headers))
    )
    if backend.HEADER:
        environ.setdefault(MINTED, []).append(response.headers[backend.HEADER])
    headers = response.headers.to_wsgi_list()
    environ[SENT] = Sent(delivery, response, headers, _configured(area).KEEPS)
    file_delegated.send(app, delivery=delivery, backend=backend.NAME)
    return response


def signed_url(
    path: str | os.PathLike[str],
    *,
    expires_in: int,
    area: str | None = None,
    bind_to_browser: bool = False,
    **options: Any,
) -> str:
    """Make a URL by which Apache sends a private file without asking the application again.

    The caller has decided that whoever is given it may have the file until then; nobody can take it
    back, except by a new ``SECRET_KEY``. Within a request, the server has to show that it verifies
    such URLs; elsewhere this is taken for granted.

    :param path: relative to the area's root.
    :param expires_in: seconds, 31 days at most. The URL ends up to a tenth of them earlier, so that
        it stays the same for a while and browsers can keep the file.
    :param area: one for which ``DELEGATE_SIGNED_URL`` or its ``signed_url`` is set.
    :param bind_to_browser: let it work only in the browser that makes this request. This sets a
        cookie.
    :param options: those of :class:`~flask_delegate.Handoff`.
    :returns: a path with a query, to put into a page of the same host.
    :raises FileRefused: if it is not a readable regular file below the root.
    :raises HandoffUnavailable: if the area has no signed URLs, or the server does not verify them.
    :raises UnknownArea: if there is no such area.
    :raises ValueError: if an argument is out of its range.
    """
    state = state_of(current_app)
    where = state.settings.area(area)
    if not where.signed_url:
        raise HandoffUnavailable(
            where.name,
            "signed URLs are not switched on for it.",
            "Set DELEGATE_SIGNED_URL to a prefix such as /signed/, or the area's 'signed_url'.",
        )
    mark = state.mark(where)
    if has_request_context():
        mark = _verifying(state, where, request.environ)
    expires = signing.expiry(expires_in)
    delivery = describe(Handoff(path, area=area, **options), resolve(where.root, path))
    browser = signing.browser_value() if bind_to_browser else ""
    return signing.sign(delivery, where, mark.signing_key, expires, browser)


def _verifying(state: State, area: Area, environ: WSGIEnvironment) -> handshake.Mark:
    """Find the mark whose key the server verifies signatures with."""
    try:
        location.check(environ, area, state.mark(area))
    except HandoffUnavailable:
        if old := _still_loaded(location, state, area, environ):
            return old
        raise
    return state.mark(area)


def state_of(app: Flask) -> State:
    """Find what the extension keeps of an application.

    :raises RuntimeError: if it was not set up.
    """
    try:
        state: State = app.extensions[_KEY]
    except KeyError:
        raise RuntimeError("Delegate is not set up: call Delegate(app) or init_app(app).") from None
    return state


def _marks(
    settings: Settings,
) -> tuple[Mapping[str, handshake.Mark], Mapping[str, tuple[handshake.Mark, ...]]]:
    """Derive each area's mark, and those from keys that were replaced."""
    all_marks = {
        name: [_mark(secret, area, settings) for secret in settings.secrets]
        for name, area in settings.areas.items()
        if settings.secrets
    }
    return (
        MappingProxyType({name: marks[0] for name, marks in all_marks.items()}),
        MappingProxyType({name: tuple(marks[1:]) for name, marks in all_marks.items()}),
    )


def _mark(secret: bytes, area: Area, settings: Settings) -> handshake.Mark:
    token = handshake.derive_token(secret, area)
    key = handshake.derive_signing_key(secret, area)
    rules = server.rules(area, token, settings.headers, key)
    return handshake.Mark(token, handshake.derive_fingerprint(secret, area, rules), key)


def _checks(app: Flask, settings: Settings) -> list[Check]:
    chosen = [_configured(area) for area in settings.areas.values()]
    headers = {backend.HEADER for backend in chosen} - {None, location.HEADER}
    return [
        stop_unminted,
        *(StopUnmintedHeader(str(name)) for name in sorted(map(str, headers))),
        LostHeaders(app, settings.headers),
    ]


def _configured(area: Area) -> Backend:
    """Give the backend that the settings have in mind; with ``auto``, mod_wsgi."""
    return location if area.backend == AUTO else _BACKENDS[area.backend]


def _choose(state: State, area: Area, environ: WSGIEnvironment) -> tuple[Backend, handshake.Mark]:
    """Hand off only where this very request shows that the server is ready."""
    backend, mark = _configured(area), state.mark(area)
    try:
        backend.check(environ, area, mark)
    except HandoffUnavailable as unavailable:
        if old := _still_loaded(backend, state, area, environ):
            return backend, old
        if area.backend != AUTO:
            raise
        _tell_once(state, area, f"{unavailable} Files are streamed by Python meanwhile.")
        return stream, mark
    return backend, mark


def _still_loaded(
    backend: Backend, state: State, area: Area, environ: WSGIEnvironment
) -> handshake.Mark | None:
    """Find the mark from a replaced key that the server still has, until its next restart."""
    for mark in state.old_marks.get(area.name, ()):
        with suppress(HandoffUnavailable):
            backend.check(environ, area, mark)
            _tell_once(
                state,
                area,
                f"area {area.name!r}: the server's configuration was made with a key that is in"
                " SECRET_KEY_FALLBACKS now. Write it again before that key is removed.",
            )
            return mark
    return None


def _tell_once(state: State, area: Area, message: str) -> None:
    if (area.name, message) not in state.told:
        state.told.add((area.name, message))
        current_app.logger.warning("%s", message)
