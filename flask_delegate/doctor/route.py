"""The doctor's way into the running application: a signed token and a route.

The token is made from ``SECRET_KEY``, names what it is for, and is valid for a minute. Whatever is
wrong with it, the answer is that of a URL that does not exist.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from typing import Any

from flask import Flask, Response, abort, current_app, jsonify, request
from itsdangerous import BadData, URLSafeTimedSerializer

from ..areas import Area
from ..delivery import find
from ..handoff import Handoff
from ..sending import send, why_unready
from ..servers import signing
from ..servers.handshake import PROCESS_GROUP
from ..state import state_of
from .places import place_of

ROUTE = "/.well-known/flask-delegate/"
PREFIX = "flask-delegate-probe-"
PAGE = "-größe-日本.html"
"""The ending of a probe file's name for which the server may have rules, and Python no bytes."""
REPORT = "report"
FILE = "file"
LONGEST = "longest"
ROUTES = "routes"
NOBODY = f"{PREFIX}{0:032}"
"""A name for what is about no probe file."""

_MAX_AGE = 60  # seconds
_NAME = re.compile(f"{re.escape(PREFIX)}[0-9a-f]{{32}}(?:{re.escape(PAGE)})?")
_ENDPOINT = "flask_delegate.probe"
_SALT = "flask_delegate.doctor.probe"


def register(app: Flask) -> None:
    """Add the route. It matches every method, so that none is answered with 405."""
    app.url_map.add(app.url_rule_class(f"{ROUTE}<token>", endpoint=_ENDPOINT, methods=None))
    app.view_functions[_ENDPOINT] = _answer


def make_token(app: Flask, kind: str, area: str, name: str) -> str:
    """Return a token.

    :param kind: :data:`REPORT`, :data:`ROUTES`, :data:`FILE` or :data:`LONGEST`.
    :param name: the probe file's, or what its longest path begins with.
    """
    return str(_serializer(app).dumps([kind, area, name]))


def probe_handoff(area: str, name: str) -> Handoff:
    """Describe the probe file in a way that no server would by itself, but for a page's type."""
    if name.endswith(PAGE):
        return Handoff(name, area=area, max_age=77)
    return Handoff(
        name,
        area=area,
        as_attachment=True,
        download_name='Probe; "50%" größe.odd',
        mimetype="application/x-flask-delegate-probe",
        max_age=77,
        csp="default-src 'none'; sandbox",
    )


def _serializer(app: Flask) -> URLSafeTimedSerializer:
    if not app.secret_key:
        raise BadData("there is no SECRET_KEY")
    signing = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeTimedSerializer(app.secret_key, salt=_SALT, signer_kwargs=signing)


def _answer(token: str) -> Response:
    try:
        kind, area, name = map(str, _serializer(current_app).loads(token, max_age=_MAX_AGE))
    except (BadData, ValueError, TypeError):
        abort(404)
    areas = state_of(current_app).settings.areas
    if request.method not in ("GET", "HEAD") or area not in areas or not _NAME.fullmatch(name):
        abort(404)
    if kind in (REPORT, ROUTES):
        response = jsonify(_report(areas[area], name) if kind == REPORT else _routes())
        response.headers["Cache-Control"] = "no-store"
        return response
    path = place_of(areas[area]).longest(name) if kind == LONGEST else name
    handoff = probe_handoff(area, path)
    # A symbolic link in the file's place is not followed.
    if kind not in (FILE, LONGEST) or find(handoff, areas[area]).relative != path:
        abort(404)
    return send(handoff)


def _routes() -> dict[str, Any]:
    """Return what this process did with what Flask's ``send_file`` sent, by endpoint."""
    return {"process": os.getpid(), "routes": state_of(current_app).routes}


def _report(area: Area, name: str) -> dict[str, Any]:
    """Return what this process sees; nothing of it is secret to whoever has the key."""
    keys, *old = state_of(current_app).keys[area.name]
    unready = why_unready(request.environ, area, keys)
    return {
        "process_group": request.environ.get(PROCESS_GROUP),
        "encoding": sys.getfilesystemencoding(),
        "probe": place_of(area).seen(name),
        "root": area.root,
        "url": area.url,
        "backend": area.backend,
        "fingerprint": keys.fingerprint,
        "mount": request.root_path,
        "outer_prefix": signing.outer_prefix(request.environ),
        "problem": unready and unready.reason,
        "cure": unready and unready.cure,
        "old_key": any(why_unready(request.environ, area, one) is None for one in old),
    }
