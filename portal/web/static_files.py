"""Static files, at addresses that change with their content, so that browsers need not ask again.

One version stands for all of them: scripts and styles name each other by relative addresses.

They come whole. A web server compresses them, and changes their ETag at most: to whoever asks for
the rest of one by its date, it would send the rest of the other coding (RFC 9110, 13.1.5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, request, send_from_directory

from .own_look import OwnFile

_FOLDER = Path(__file__).with_name("static")
_WORKER, _SCOPE = "share_worker.js", "/receive/"
"""The one service worker, and the only pages that it may answer for."""
_YEAR = 365 * 24 * 60 * 60
# Somebody may open a logo by itself, and an SVG can have scripts.
_OWN_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"


def init_app(app: Flask, own: Mapping[str, OwnFile]) -> None:
    """Serve the static files, and have ``url_for("static", filename=...)`` name their version.

    :param own: the organisation's files, by the names that they have among them.
    """
    current = _version(own)
    app.static_folder = str(_FOLDER)  # which the extension keeps private files out of

    def send(version: str, filename: str) -> Response:
        # A page that was opened before an upgrade goes on with what there is now.
        is_current = version == current
        max_age = _YEAR if is_current else None
        if filename in own:
            response = _own_response(own[filename], max_age)
        else:
            response = send_from_directory(_FOLDER, filename, conditional=False, max_age=max_age)
        response.cache_control.immutable = is_current
        if filename == _WORKER:
            response.headers["Service-Worker-Allowed"] = _SCOPE
        response.make_conditional(request)
        if response.status_code == HTTPStatus.PRECONDITION_FAILED:
            response.close()
            abort(response.status_code)  # without the file, which Werkzeug would send with it
        return response

    def name_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values["version"] = current

    app.add_url_rule("/static/<version>/<path:filename>", "static", send)
    app.url_defaults(name_version)


def _own_response(file: OwnFile, max_age: int | None) -> Response:
    response = Response(file.content, mimetype=file.kind)
    response.headers["Content-Security-Policy"] = _OWN_POLICY
    response.add_etag()
    # As send_from_directory says it.
    if max_age is None:
        response.cache_control.no_cache = True
    else:
        response.cache_control.public = True
        response.cache_control.max_age = max_age
    return response


def _version(own: Mapping[str, OwnFile]) -> str:
    """Return a digest of all static files."""
    digest = hashlib.sha256()
    for path in sorted(_FOLDER.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(_FOLDER)} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    for name, file in sorted(own.items()):
        digest.update(f"{name} {len(file.content)}\n".encode() + file.content)
    return digest.hexdigest()[:12]
