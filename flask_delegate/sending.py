"""The heart: a file is resolved and described, and the server that is ready sends it."""

from __future__ import annotations

import os
from functools import partial
from typing import Unpack
from wsgiref.types import WSGIEnvironment

from flask import Flask, Response, current_app, has_request_context, request

from .areas import Area
from .delivery import Delivery, describe, find
from .exceptions import HandoffUnavailable
from .guards.lost_headers import Sent
from .guards.promises import UNCODED
from .guards.redirects import MINTED, PRIVATE, SENT
from .guards.unread import read_rest
from .handoff import Handoff, Options
from .resolve import resolve_folder
from .servers import AUTO, SERVERS, STREAM, server_of, signing
from .servers.base import Server
from .servers.handshake import Keys
from .signals import file_delegated, file_streamed
from .state import State, state_of, warn_once


def send_via_apache(path: str | os.PathLike[str], **options: Unpack[Options]) -> Response:
    """Return the response that delivers a private file. The caller has authorised it.

    :param path: relative to the area's root.
    :param options: those of :class:`~flask_delegate.Handoff`.
    :raises FileRefused: if it is not a readable regular file below the root.
    :raises HandoffUnavailable: if streaming is ruled out and the server is not ready, or what it
        has to know does not fit in a header.
    :raises UnknownArea: if there is no such area.
    :raises ValueError: if an option is out of its range.
    """
    return send(Handoff(path, **options))


def send(handoff: Handoff, tag: str = "") -> Response:
    """Return the response for a hand-off: see :func:`send_via_apache`.

    :param tag: what the hand-off's id begins with, of a generated file.
    """
    # The proxies are looked up once: each use of one costs as much as a look at the disk.
    app, environ = current_app._get_current_object(), request.environ  # type: ignore[attr-defined]
    environ.setdefault(PRIVATE, []).append(True)
    state = state_of(app)
    area = state.settings.area(handoff.area)
    file = find(handoff, area, generated=bool(tag))
    delivery = describe(handoff, area, file, tag)
    server, keys = _choose(app, state, area, environ)
    return deliver(app, environ, delivery, server, keys)


def deliver(
    app: Flask, environ: WSGIEnvironment, delivery: Delivery, server: Server, keys: Keys
) -> Response:
    """Return the response by which a server that is ready sends what was described.

    :raises HandoffUnavailable: if something does not fit in a header.
    """
    _check_length(server, delivery)
    if server.header != "Location":  # mod_wsgi and our SCGI server see to that
        read_rest(request)
    response: Response = app.make_response(server.respond(delivery, keys, environ))
    named = response.headers.get(server.header) if server.header else None
    header = (server.header, named) if server.header and named else None
    if header:
        environ.setdefault(MINTED, []).append(header[1])
    # An object may have a coding of its own, which hooks leave alone as well.
    response.headers.setdefault(*UNCODED)
    headers = response.headers.to_wsgi_list()
    sent = Sent(delivery, response, headers, header, server_of(delivery.area).keeps)
    environ.setdefault(SENT, []).append(sent)
    try:
        file_delegated.send(app, delivery=delivery, backend=server.name)
    except BaseException:  # a receiver wants no delivery
        response.close()
        raise
    return response


def signed_url(
    path: str | os.PathLike[str],
    *,
    expires_in: int,
    bind_to_browser: bool = False,
    **options: Unpack[Options],
) -> str:
    """Return a URL by which the server sends a private file without asking the application again.

    The caller has decided that whoever gets it may have the file until then; nobody can revoke it,
    except by a new ``SECRET_KEY``. Within a request, the server has to show that it verifies such
    URLs; elsewhere this is taken for granted.

    :param path: relative to the area's root.
    :param expires_in: seconds, 31 days at most. The URL expires up to a tenth of them earlier, so
        that it stays the same for a while and browsers can keep the file.
    :param bind_to_browser: let it work only in the browser that makes this request. This sets a
        cookie.
    :param options: those of :class:`~flask_delegate.Handoff`. The area needs
        ``DELEGATE_SIGNED_URL`` or its own ``signed_url``.
    :returns: a path with a query, for a page of the same host. Within a request it begins with the
        path at which a proxy shows Apache, if it shows it at one.
    :raises FileRefused: if it is not a readable regular file below the root.
    :raises HandoffUnavailable: if the area has no signed URLs, the server does not verify them, or
        the URL would be too long.
    :raises UnknownArea: if there is no such area.
    :raises ValueError: if an argument is out of its range.
    """
    handoff = Handoff(path, **options)
    area, mac, prefix = _signer(handoff.area)
    expires = signing.expiry(expires_in)
    delivery = describe(handoff, area, find(handoff, area))
    _check_length(server_of(area), delivery)
    browser = signing.browser_value() if bind_to_browser else ""
    url = prefix + signing.sign(delivery, mac, expires, browser)
    if len(url) > signing.LONGEST_URL:
        reason = (
            f"a signed URL would have {len(url)} bytes, and {signing.LONGEST_URL} are the limit."
        )
        cure = "Choose a shorter path, policy (csp) or media type, or hand the file off."
        raise HandoffUnavailable(area.name, reason, cure)
    return url


def signed_cookie(
    folder: str | os.PathLike[str], *, expires_in: int, area: str | None = None
) -> str:
    """Let the browser that makes this request fetch every file below a folder of an area.

    The response of this request sets the cookie; the server verifies it without asking the
    application again. The caller has decided that this person may have all that is in the folder,
    and is put there until then. For a film in segments, or a page of pictures.

    :param folder: relative to the area's root, at most eight names deep. Not the root itself.
    :param expires_in: seconds, 31 days at most.
    :param area: the area's name; none: the default area. It needs ``DELEGATE_SIGNED_URL`` or its
        own ``signed_url``.
    :returns: the folder's URL, with a slash at the end: a path, for a page of the same host. Append
        a file's quoted name, such as ``index.m3u8``.
    :raises FileRefused: if it is not a folder below the root.
    :raises HandoffUnavailable: if the area has no signed URLs, the server does not verify them, or
        the folder is too deep or its URL too long for a cookie.
    :raises UnknownArea: if there is no such area.
    :raises ValueError: if ``expires_in`` is out of its range.
    """
    from .servers.signed import folders  # most applications do without

    its_area, mac, prefix = _signer(area)
    expires = signing.latest_expiry(expires_in)
    relative = resolve_folder(its_area.root, folder)
    depth = folders.depth_of(relative)
    path = folders.unquoted(f"{its_area.signed_url}", relative)
    url = prefix + folders.quoted(path)
    if depth > folders.DEEPEST or len(url) > folders.LONGEST_PATH:
        reason = (
            f"the folder has {depth} names and its URL {len(url)} bytes;"
            f" {folders.DEEPEST} and {folders.LONGEST_PATH} are the limits."
        )
        raise HandoffUnavailable(its_area.name, reason, "Choose a folder above it.")
    # No shared cache may keep the cookie.
    request.environ.setdefault(PRIVATE, []).append(True)
    content = folders.value(path, mac, expires, signing.browser_value())
    folders.set_cookie(url, depth, content, expires)
    return url


def _signer(name: str | None) -> tuple[Area, signing.Mac, str]:
    """Return an area, what signs for it, and what a proxy has in front of its signed URLs.

    :raises HandoffUnavailable: if it has none, or the server does not verify them.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    state = state_of(app)
    area = state.settings.area(name)
    if not area.signed_url:
        cure = "Set DELEGATE_SIGNED_URL to a prefix such as /signed/, or the area's 'signed_url'."
        raise HandoffUnavailable(area.name, "it has no signed URLs.", cure)
    keys, prefix = state.keys[area.name][0], ""
    if has_request_context():
        keys = loaded_keys(app, state, area, request.environ)
        prefix = signing.outer_prefix(request.environ)
    return area, partial(server_of(area).mac, keys.signing_key), prefix


def _choose(app: Flask, state: State, area: Area, environ: WSGIEnvironment) -> tuple[Server, Keys]:
    """Hand off only where this very request shows that the server is ready."""
    try:
        return server_of(area), loaded_keys(app, state, area, environ)
    except HandoffUnavailable as unavailable:
        if area.backend != AUTO:
            raise
        file_streamed.send(app, kind=unavailable.kind, reason=unavailable.reason)
        warn_once(app, f"{unavailable} Until then Python streams the files.")
        return SERVERS[STREAM], Keys()


def _check_length(server: Server, delivery: Delivery) -> None:
    length = len(delivery.file.path.encode("utf-8", "surrogateescape"))
    if length > server.longest_path:
        reason = f"the file's path has {length} bytes, and {server.longest_path} are the limit."
        cure = "Choose shorter names for the file and its folders, or another backend."
        raise HandoffUnavailable(delivery.area.name, reason, cure, "too-long")


def loaded_keys(app: Flask, state: State, area: Area, environ: WSGIEnvironment) -> Keys:
    """Return the keys that the server's configuration has, if it has any of this area's.

    :raises HandoffUnavailable: if it has none.
    """
    keys, *replaced = state.keys[area.name]
    try:
        server_of(area).check(environ, area, keys)
    except HandoffUnavailable:
        for old in replaced:
            if why_unready(environ, area, old) is None:
                message = (
                    f"area {area.name!r}: the server's configuration was made with a key that is"
                    " now in SECRET_KEY_FALLBACKS. Write it again before you remove that key."
                )
                warn_once(app, message)
                return old
        raise
    return keys


def why_unready(environ: WSGIEnvironment, area: Area, keys: Keys) -> HandoffUnavailable | None:
    """Return why the server in front of this request cannot send the area's files, or none."""
    try:
        server_of(area).check(environ, area, keys)
    except HandoffUnavailable as unavailable:
        return unavailable
    return None
