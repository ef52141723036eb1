"""What a response says of the file that it sends, and what a hand-off would lose of it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from flask import Flask, Response

from ..areas import Area
from ..servers.base import Keeps
from .lost_headers import lost_cookies
from .redirects import Headers

# The server sets them itself, or they are about the answer that it gives in the view's place.
_OF_THE_SERVER = re.compile(
    "accept-ranges|connection|content-length|content-range|date|etag|last-modified"
)
_DESCRIBED = re.compile(
    "cache-control|content-disposition|content-security-policy|content-type|expires|repr-digest"
    "|vary"
)
_TEXT = re.compile(r"[\x20-\x7e]{1,2000}")
_LONGEST_AGE = 10**9  # seconds; as for the option max_age
# Flask-Compress names the latter in each response; a file's bytes do not depend on it.
_VARY = frozenset(("", "accept-encoding", "cookie"))
_CACHE = frozenset(("max-age", "no-cache", "private", "public"))


class Loss(Exception):
    """Why a file is not handed off: something would not be as the view made it.

    :param kind: one of a few words, for counters.
    :param reason: a sentence.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


class Said(NamedTuple):
    """What a response says.

    :param values: fields of :class:`~flask_delegate.delivery.Delivery`.
    :param kept: headers that the server passes on.
    """

    values: dict[str, Any]
    kept: Headers


def described(app: Flask, response: Response, area: Area, keeps: Keeps) -> Said:
    """Return what a response says of its file.

    :param keeps: what the server keeps of a response.
    :raises Loss: if it says something that the server would not.
    """
    values = {
        "content_type": _one(response, "Content-Type"),
        "disposition": _one(response, "Content-Disposition") or "inline",
        "csp": _one(response, "Content-Security-Policy"),
        "max_age": _max_age(response),
        "digest": _one(response, "Repr-Digest"),
    }
    if not values["content_type"]:
        raise Loss("header", "the response has no Content-Type.")
    words = ",".join(response.headers.getlist("Vary")).split(",")
    if other := sorted({word.strip().lower() for word in words} - _VARY):
        raise Loss("header", f"the response varies by {', '.join(other)}.")
    return Said(values, list(_kept(app, response, area, keeps)))


def _one(response: Response, name: str) -> str | None:
    """Return a header's value.

    :raises Loss: if it has several, or one that cannot pass through a server.
    """
    found = response.headers.getlist(name)
    if not found:
        return None
    if len(found) > 1 or not _TEXT.fullmatch(found[0]):
        reason = f"the header {name} stands twice, is not ASCII, or has more than 2000 characters."
        raise Loss("header", reason)
    return str(found[0])


def _max_age(response: Response) -> int | None:
    """Return how long the view allows a browser to keep the file.

    :raises Loss: if it demands more than the server can say.
    """
    policy = response.cache_control
    if len(response.headers.getlist("Cache-Control")) > 1:
        raise Loss("cache-control", "the cache policy stands in several headers.")
    if unknown := sorted(set(policy) - _CACHE):
        raise Loss("cache-control", f"the cache policy has {', '.join(unknown)}.")
    if any(policy.get(name) not in (None, "*") for name in ("no-cache", "private")):
        raise Loss("cache-control", "the cache policy is about some headers only.")
    age = policy.max_age
    if policy.no_cache or not age:
        return None
    if not 0 < age <= _LONGEST_AGE:
        raise Loss("cache-control", f"max-age is {age}.")
    return age


def _kept(app: Flask, response: Response, area: Area, keeps: Keeps) -> Headers:
    ours = {name.lower(): value for name, value in area.headers.items()}
    ours["x-content-type-options"] = "nosniff"
    kept: Headers = []
    for name, value in response.headers:
        lower = name.lower()
        if _OF_THE_SERVER.fullmatch(lower) or _DESCRIBED.fullmatch(lower):
            continue
        if ours.get(lower) == value:
            continue
        if lower == "set-cookie":
            if keeps.cookies:
                kept.append((name, value))
            elif lost_cookies(app, [(name, value)]):
                reason = f"the cookie {value.partition('=')[0]!r} would not arrive."
                raise Loss("cookie", reason)
        elif lower in ours or lower == "content-encoding" or not keeps.headers:
            reason = f"the header {name} would not arrive. DELEGATE_HEADERS may have it."
            if lower == "content-encoding":
                reason = "the file has a Content-Encoding."
            raise Loss("header", reason)
        else:
            kept.append((name, value))
    return kept
