"""Secrets that a page shows once: a link's token, recovery codes.

The form that creates one is answered with a redirect, so that a reload creates no second. Until the
next page is requested, the session's cookie holds the secret: in the browser that is about to show
it, hidden from scripts, signed, and in no address and no log.
"""

from __future__ import annotations

import time
from typing import Any

from flask import abort, redirect, request, session
from flask.typing import ResponseReturnValue

from portal.core.language import gettext

from . import compression
from .flashes import tell

_KEY = "shown once"
_PATIENCE = 5 * 60
"""Seconds between the form and the page."""
_MOST = 2
"""Secrets that wait at once, of forms in several tabs: browsers keep cookies short."""


def show(page: str, secret: Any) -> ResponseReturnValue:
    """Redirect to a page, where :func:`take` returns the secret once; an earlier one is forgotten.

    :param page: its address.
    :param secret: what JSON can hold, in few bytes.
    """
    new = {"page": page, "secret": secret, "until": time.time() + _PATIENCE}
    others = [one for one in session.get(_KEY, []) if one["page"] != page]
    session[_KEY] = [*others, new][-_MOST:]
    return redirect(page)


def take(what: str, otherwise: str) -> Any:
    """Return the secret for the page of this request, and forget it. The page is not compressed.

    Without one, abort with a redirect: the page was reloaded, or is one of the browser's history.

    :param what: what the page shows, in the plural.
    :param otherwise: the address of a page that can create others.
    """
    compression.forbid()
    here = request.script_root + request.path
    kept = session.get(_KEY, [])
    mine = next((one for one in kept if one["page"] == here), None)
    if mine:  # a HEAD saves no session
        session[_KEY] = [one for one in kept if one is not mine]
    if not mine or time.time() >= mine["until"]:
        tell(
            gettext(
                "%(what)s are shown only once. If you have lost yours, create new ones.", what=what
            ),
            "error",
        )
        abort(redirect(otherwise))
    return mine["secret"]
