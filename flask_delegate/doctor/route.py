"""The doctor's way into the running application: a signed token, a route, and a file to ask for.

The token is made from ``SECRET_KEY`` and names what it is for; it is good for a minute. Whatever is
wrong with it, the answer is that of a URL that does not exist.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, current_app, jsonify, request
from itsdangerous import BadData, URLSafeTimedSerializer

from ..areas import Area
from ..exceptions import HandoffUnavailable
from ..handoff import Handoff
from ..servers import mod_wsgi as location
from ..servers import nginx as accel
from ..servers import stream
from ..servers import xsendfile as sendfile
from ..servers.handshake import Mark

ROUTE = "/.well-known/flask-delegate/"
MAX_AGE = 60  # seconds
PREFIX = "flask-delegate-probe-"
REPORT = "report"
FILE = "file"

_NAME = re.compile(re.escape(PREFIX) + "[0-9a-f]{32}")
_ENDPOINT = "flask_delegate.probe"
_SALT = "flask_delegate.doctor.route"
_BACKENDS = {backend.NAME: backend for backend in (location, accel, sendfile, stream)}
_LINES = 128


def register(app: Flask) -> None:
    """Add the route. It matches every method, so that none is answered with 405."""
    rule = app.url_rule_class(f"{ROUTE}<token>", endpoint=_ENDPOINT, methods=None)
    app.url_map.add(rule)
    app.view_functions[_ENDPOINT] = _answer


def make_token(app: Flask, kind: str, area: str, name: str) -> str:
    """Make a token.

    :param kind: :data:`REPORT` or :data:`FILE`.
    :param name: the probe file's.
    """
    return str(_serializer(app).dumps([kind, area, name]))


def handoff(area: str, name: str) -> Handoff:
    """Describe the probe file in a way that no server would by itself."""
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
    return URLSafeTimedSerializer(
        app.secret_key,
        salt=_SALT,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


def _answer(token: str) -> Response:
    from ..extension import send, state_of

    kind, area, name = _read(token)
    areas = state_of(current_app).settings.areas
    if request.method not in ("GET", "HEAD") or area not in areas or not _NAME.fullmatch(name):
        abort(404)
    if kind == REPORT:
        response = jsonify(_report(areas[area], name))
        response.headers["Cache-Control"] = "no-store"
        return response
    if kind != FILE or not _is_regular(areas[area].root, name):
        abort(404)
    return send(handoff(area, name))


def _read(token: str) -> tuple[str, str, str]:
    try:
        kind, area, name = _serializer(current_app).loads(token, max_age=MAX_AGE)
    except (BadData, ValueError, TypeError):
        abort(404)
    return str(kind), str(area), str(name)


def _is_regular(root: str, name: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(f"{root}/{name}").st_mode)
    except OSError:
        return False


def _report(asked: Area, name: str) -> dict[str, Any]:
    """Tell what this process sees; nothing of it is secret to whoever has the key."""
    from ..extension import state_of

    state = state_of(current_app)
    environ = request.environ
    return {
        "process_group": environ.get("mod_wsgi.process_group"),
        "multithread": bool(environ.get("wsgi.multithread")),
        "multiprocess": bool(environ.get("wsgi.multiprocess")),
        "https": environ.get("wsgi.url_scheme") == "https",
        "user": os.geteuid(),
        "debug": current_app.debug,
        "probe": _seen_here(f"{asked.root}/{name}"),
        "areas": {
            area.name: {
                "root": area.root,
                "url": area.url,
                "backend": area.backend,
                "fingerprint": state.mark(area).fingerprint,
                **_readiness(environ, area, state.mark(area)),
                "old_key": any(
                    _readiness(environ, area, mark)["problem"] is None
                    for mark in state.old_marks.get(area.name, ())
                ),
            }
            for area in state.settings.areas.values()
        },
    }


def _seen_here(path: str) -> str:
    try:
        with Path(path).open("rb"):
            return "readable"
    except OSError as error:
        return str(error.strerror)


def _readiness(environ: Mapping[str, object], area: Area, mark: Mark) -> dict[str, str | None]:
    backend = _BACKENDS.get(area.backend, location)
    try:
        backend.check(environ, area, mark)
    except HandoffUnavailable as unavailable:
        return {"problem": unavailable.reason, "cure": unavailable.cure}
    return {"problem": None, "cure": None}


@dataclass(frozen=True, slots=True)
class Probe:
    """A file that the doctor put into an area.

    :param name: its name.
    :param marker: what each line of it contains, and nothing else in the world does.
    :param content: what is in it.
    """

    name: str
    marker: bytes
    content: bytes


@contextmanager
def probe_file(root: str) -> Iterator[Probe]:
    """Put a probe file into a folder, old enough for a strong ETag, and take it away again.

    :raises OSError: if it cannot be made.
    """
    marker = secrets.token_hex(16)
    content = "".join(f"{number:04} {marker}\n" for number in range(_LINES)).encode()
    probe = Probe(PREFIX + secrets.token_hex(16), marker.encode(), content)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _write(folder, probe)
        try:
            yield probe
        finally:
            with suppress(FileNotFoundError):
                os.unlink(probe.name, dir_fd=folder)
    finally:
        os.close(folder)


def _write(folder: int, probe: Probe) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(probe.name, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(probe.content)
            file.flush()
            # Whatever the umask: the application and the web server must be able to read it.
            os.fchmod(file.fileno(), 0o644)
            old = time.time() - 3600
            os.utime(file.fileno(), (old, old))
    except BaseException:
        os.unlink(probe.name, dir_fd=folder)
        raise
