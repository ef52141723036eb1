"""A cookie that opens a folder of an area in one browser: the server verifies it by itself.

Its name ends with the number of names in the folder's path, so that the server knows which part of
a request's path it is for. Its value is the second in which it expires, and a keyed hash over that,
the folder's path and the browser's cookie: whoever deletes that one closes all folders.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import cache

from flask import Response, after_this_request, request

from ...delivery import UNKNOWN, content_type, sandbox_for
from ...media_types import types_by_extension
from .. import codec
from ..signing import Mac

COOKIE = "flask_delegate_folder_"
"""What the cookie's name begins with."""
DEEPEST = 8
"""Names in a folder's path: Apache has one condition for each number of them."""
LONGEST_PATH = 1024
"""Bytes of a cookie's path: browsers ignore a longer attribute (RFC 6265bis, 5.6), and would send
the cookie elsewhere."""

# Besides what is harmless: the lists of films, and their subtitles.
_LISTS = re.compile("application/(?:dash\\+xml|vnd\\.apple\\.mpegurl)|text/vtt")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a client is told of a file of a folder, by the extension of its name.

    :param extensions: in lower case.
    :param policy: a Content-Security-Policy.
    """

    content_type: str
    extensions: tuple[str, ...]
    policy: str | None


@cache
def kinds() -> tuple[Kind, ...]:
    """Return the types that a folder's files are shown with; others are :data:`UNKNOWN`."""
    found: dict[str, list[str]] = {}
    for extension, mimetype in sorted(types_by_extension().items()):
        harmless = mimetype != UNKNOWN and sandbox_for(mimetype) is None
        if harmless or _LISTS.fullmatch(mimetype):
            found.setdefault(mimetype, []).append(extension)
    return tuple(
        Kind(content_type(mimetype), tuple(extensions), sandbox_for(mimetype))
        for mimetype, extensions in sorted(found.items())
    )


def depth_of(relative: str) -> int:
    """Return the number of names in a folder's path, without slashes at its ends."""
    return relative.count("/") + 1


def value(path: bytes, mac: Mac, expires: int, browser: str) -> str:
    """Return the cookie's value.

    :param path: of the folder's URL, unquoted, with a slash at both ends.
    :param mac: that of the area's server, with the area's key.
    :param expires: seconds since the epoch.
    :param browser: the value of the browser's cookie.
    """
    return f"{expires}.{mac(f'folder {expires} {browser} '.encode() + path)}"


def set_cookie(url: str, depth: int, content: str, expires: int) -> None:
    """Have this request's response set the cookie.

    :param url: the folder's, as the browser asks for it.
    """

    def add(response: Response) -> Response:
        response.set_cookie(
            f"{COOKIE}{depth}",
            content,
            max_age=max(0, expires - int(time.time())),
            path=url,
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )
        return response

    after_this_request(add)


def unquoted(signed_url: str, relative: str) -> bytes:
    """Return the path of a folder's URL, as servers decode it."""
    return f"{signed_url}{relative}/".encode("utf-8", "surrogateescape")


def quoted(path: bytes) -> str:
    """Return it as browsers ask for it."""
    return codec.quoted(path)
