"""URLs that the web server verifies by itself: no request for one wakes Python.

A URL names a file of an area, the second in which it expires, and all that a hand-off would say of
the file. Its last field is a keyed hash over these and the path (and a cookie of the browser, if
it is bound to one), with a key from the area's configuration: the one that the area's server can
compute. Apache's expressions have SHA-1, nested here: an outer hash with the same key prevents
length extension. Both sides are hashed once more before they are compared, so that the time of the
comparison reveals nothing. For nginx see :mod:`.signed.nginx`; for a folder,
:mod:`.signed.folders`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping

from flask import Response, after_this_request, g, request

from ..delivery import Delivery
from . import codec

Mac = Callable[[bytes], str]
"""What computes a keyed hash: :meth:`.base.Server.mac` with a key."""

LONGEST = 31 * 24 * 3600
"""Seconds that a URL may be valid: nobody can revoke it."""

LONGEST_URL = 8000
"""Bytes of a URL. RFC 9110, 4.1: servers should read as many; Apache's ``LimitRequestLine`` and
nginx's ``large_client_header_buffers`` allow hardly more."""

COOKIE = "flask_delegate_browser"
"""The cookie with a random value that URLs may be bound to."""

TIME_HEADER = "X-Flask-Delegate-Time"
"""Where Apache keeps the time of a request in a form that no time zone changes."""

_OUTER = 15
"""Characters of the key in front of a hash: they fill one block of SHA-1 with it, which takes
Apache a fortieth of a request. All of the key is in front of what is signed."""
COOKIE_VALUE = "[0-9a-f]{32}"
"""A pattern."""
_STEPS = 10


def expiry(expires_in: int) -> int:
    """Return the second at which a URL expires.

    It is rounded down by a tenth of the time at most, so that pages have the same URL for a while
    and browsers need not fetch the file again.

    :raises ValueError: if it is not between a second and :data:`LONGEST`.
    """
    end = latest_expiry(expires_in)
    step = max(1, expires_in // _STEPS)
    return end // step * step


def latest_expiry(expires_in: int) -> int:
    """Return the very second.

    :raises ValueError: if it is not between a second and :data:`LONGEST`.
    """
    if isinstance(expires_in, bool) or not isinstance(expires_in, int):
        raise TypeError("expires_in is a number of seconds")
    if not 1 <= expires_in <= LONGEST:
        raise ValueError(f"expires_in must be between 1 and {LONGEST} seconds, not {expires_in}")
    return int(time.time()) + expires_in


def sign(delivery: Delivery, mac: Mac, expires: int, browser: str = "") -> str:
    """Return a signed URL: a path and a query, without a host.

    :param delivery: in an area with a ``signed_url``.
    :param mac: that of the area's server, with the area's key.
    :param expires: seconds since the epoch.
    :param browser: the cookie's value that it is bound to, if any.
    """
    relative = delivery.file.relative.encode("utf-8", "surrogateescape")
    path = f"{delivery.area.signed_url}".encode() + relative
    bound = ["b=1"] if browser else []
    query = "&".join([f"e={expires}", *bound, *codec.described(delivery)])
    signed = " ".join([query, *([browser] if browser else [])]).encode()
    return f"{codec.quoted(path)}?{query}&s={mac(signed + b' ' + path)}"


def outer_prefix(environ: Mapping[str, object]) -> str:
    """Return the path, quoted, at which a proxy shows all URLs of Apache; usually nothing.

    It is what ``SCRIPT_NAME`` has in front of the path that Apache received, once the application's
    middleware (ProxyFix) or ``WSGITrustedProxyHeaders`` has heard it from the proxy. A proxy that
    replaces the path of the application has its own place for other URLs of Apache, or none.
    """
    mount = str(environ.get("SCRIPT_NAME", ""))
    asked = f"{mount}{environ.get('PATH_INFO', '')}"
    server = "scgi" if "scgi.script_name" in environ else "mod_wsgi"
    places = (environ.get(f"{server}.{name}", "") for name in ("script_name", "path_info"))
    received = "".join(map(str, places))
    if not received or not asked.endswith(received):
        return ""
    prefix = asked.removesuffix(received)
    # Two slashes in front would be the name of another host.
    path = prefix.strip("/") if mount.startswith(prefix) else ""
    return f"/{codec.quoted(path.encode('latin-1'))}" if path else ""


def nested_sha1(key: str, message: bytes) -> str:
    """Return the keyed hash that Apache computes, in hexadecimal."""
    inner = hashlib.sha1(key.encode() + message, usedforsecurity=False).hexdigest()
    return hashlib.sha1((key[:_OUTER] + inner).encode(), usedforsecurity=False).hexdigest()


def proof(key: str, text: str) -> str:
    """Return what shows that whoever made it has a key, and does not show the key."""
    return nested_sha1(key, text.encode())


def proof_expression(key: str, text: str) -> str:
    """Return what Apache computes the same from.

    :param text: as expressions of Apache write it.
    """
    return f"%{{sha1:{key[:_OUTER]}%{{sha1:{key}{text}}}}}"


def condition(keys: Iterable[str]) -> str:
    """Return Apache's condition for a request with a valid signature.

    :param keys: the one in use, and those that it has replaced.
    """
    return " || ".join(_form(key, bound=bound) for key in keys for bound in (False, True))


def _form(key: str, *, bound: bool) -> str:
    fields = "".join(f"(?:&{one.key}={one.pattern})?" for one in codec.DESCRIBED)
    text = f"%{{REQUEST_METHOD}} %{{req_novary:{TIME_HEADER}}} %{{QUERY_STRING}}"
    query = f"(e=([0-9]{{10}}){'&b=1' if bound else ''}{fields})&s=([0-9a-f]{{40}})"
    pattern = f"^(?:GET|HEAD) t=([0-9]{{10}})[0-9]{{6}} {query}"
    signed = "$2 %{REQUEST_URI}"
    if bound:
        text += " ;%{req_novary:Cookie};"
        pattern += f" .*;[ ]*{COOKIE}=({COOKIE_VALUE});"
        signed = "$2 $5 %{REQUEST_URI}"
    else:
        pattern += "$"
    return f"('{text}' =~ m#{pattern}# && $3 -gt $1 && {same_expression(key, signed, '$4')})"


def same_expression(key: str, text: str, given: str) -> str:
    """Return Apache's condition that a hash that was given is that of a text.

    :param text: as expressions of Apache write it.
    """
    outer = key[:_OUTER]
    return f"%{{sha1:{outer}{given}}} == %{{sha1:{outer}{proof_expression(key, text)}}}"


def browser_value() -> str:
    """Return this browser's value of the cookie; set the cookie if it has none."""
    # Of several, such as those of another folder or a neighbouring host, servers take the last.
    sent = f";{request.environ.get('HTTP_COOKIE', '')};"
    if values := re.findall(f";[ ]*{COOKIE}=({COOKIE_VALUE})(?=;)", sent):
        return str(values[-1])
    if "flask_delegate_browser" not in g:
        g.flask_delegate_browser = secrets.token_hex(16)
        after_this_request(_set_cookie)
    return str(g.flask_delegate_browser)


def _set_cookie(response: Response) -> Response:
    value = g.flask_delegate_browser
    response.set_cookie(COOKIE, value, secure=request.is_secure, httponly=True, samesite="Lax")
    return response
