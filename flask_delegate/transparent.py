"""Flask's own ``send_file`` and ``send_from_directory``, handed off: ``DELEGATE_SEND_FILE``.

Nothing of Flask is replaced. Flask puts the file that it has opened into the server's
``wsgi.file_wrapper`` (PEP 3333); a wrapper of this module's stands there, and keeps the file. When
the response is complete, hooks and session included, the open file shows what would be sent: it is
handed off if it is the very file that lies in an area, and nothing of the response would be lost.
"""

from __future__ import annotations

import io
import os
import secrets
import time
from typing import IO, Any, NamedTuple

from flask import Flask, Response, has_request_context, request, request_finished, request_started
from werkzeug import wsgi
from werkzeug.wrappers import Response as BaseResponse
from werkzeug.wsgi import FileWrapper

from .areas import Area
from .delivery import Delivery
from .exceptions import FileRefused, HandoffUnavailable
from .guards.losses import Loss, described
from .guards.redirects import PRIVATE
from .handoff import Handoff
from .resolve import PrivateFile, resolve
from .sending import deliver, loaded_keys
from .servers import server_of
from .signals import file_streamed
from .state import HANDED_OFF, State, state_of

FRESH = 10
"""Seconds for which a file that has changed is streamed.

The server opens a file by its path, after the view. What a view has just written under a name that
the next request writes again, is that request's by then.
"""

_WRAPPER = "wsgi.file_wrapper"
_ORIGINAL = "delegate.file_wrapper"
_OPENED = "delegate.opened"
_CONDITIONS = tuple(
    f"HTTP_{name}"
    for name in ("IF_MATCH", "IF_NONE_MATCH", "IF_MODIFIED_SINCE", "IF_UNMODIFIED_SINCE")
)
_WITHOUT_FILE = (304, 416)
"""What Flask answers to a condition or a range, without a byte of the file."""
# What makes bytes and headers of a response. A class of its own may send something else.
_SENDING = ("__call__", "close", "get_app_iter", "get_wsgi_headers", "get_wsgi_response")


class OpenedFile(FileWrapper):
    """What Flask puts an open file into. It can be iterated, as Werkzeug's own can."""

    def __init__(self, file: IO[bytes], buffer_size: int = 8192) -> None:
        super().__init__(file, buffer_size)
        if has_request_context():
            request.environ[_OPENED] = True


class _Partial(NamedTuple):
    """The body of a response, seen through Werkzeug's wrapper of a part."""

    opened: OpenedFile
    is_part: bool


def watch(app: Flask) -> None:
    """Look at each response of an application from now on."""
    request_started.connect(_begin, app)
    request_finished.connect(_finish, app)


def _begin(app: Flask, **_: Any) -> None:
    del app
    environ = request.environ
    environ[_ORIGINAL] = environ.get(_WRAPPER)
    environ[_WRAPPER] = OpenedFile


def _finish(app: Flask, response: Response, **_: Any) -> None:
    original = _restore()
    body = _body(response)
    if body is None and not request.environ.pop(_OPENED, False):
        return
    state, endpoint = state_of(app), request.endpoint or ""
    try:
        _hand_off(app, state, response, body)
    except (HandoffUnavailable, Loss) as why:
        if response.status_code not in _WITHOUT_FILE:
            _note(state, endpoint, why.kind, why.reason)
            file_streamed.send(app, kind=why.kind, reason=why.reason)
        if original is not None and body is not None and not body.is_part:
            # The server sends it in its own way.
            response.response = original(body.opened.file, body.opened.buffer_size)
    else:
        _note(state, endpoint, HANDED_OFF, "")


def _restore() -> Any:
    """Put the server's own wrapper back, by which it knows what it has wrapped, and return it."""
    environ = request.environ
    original = environ.get(_ORIGINAL)
    if original is None:
        environ.pop(_WRAPPER, None)
    else:
        environ[_WRAPPER] = original
    return original


def _body(response: Response) -> _Partial | None:
    """Return the file that a response sends, if it is one that this module has seen opened."""
    body = response.response
    if type(body) is OpenedFile:
        return _Partial(body, is_part=False)
    if type(body) is getattr(wsgi, "_RangeWrapper", None):
        inner = getattr(body, "iterable", None)
        return _Partial(inner, is_part=True) if type(inner) is OpenedFile else None
    return None


def _note(state: State, endpoint: str, kind: str, reason: str) -> None:
    """Count for the doctor. Threads may lose a count, which does no harm."""
    found = state.routes.setdefault(endpoint, {})
    found[kind] = (found.get(kind, (0, ""))[0] + 1, reason)


def _hand_off(app: Flask, state: State, response: Response, body: _Partial | None) -> None:
    """Make a response that sends a file the hand-off of that file.

    :raises Loss: if it would change what the client gets.
    :raises HandoffUnavailable: if the server is not ready.
    """
    if body is None:
        raise Loss("changed", "something has replaced the body that send_file made.")
    area, file = _find(state, body.opened.file)
    server = server_of(area)
    if server.header is None:
        raise Loss("stream", f"the backend of the area {area.name!r} is {server.name!r}.")
    _check_class(response)
    _check_answer(response, body, file)
    said = described(app, response, area, server.keeps)
    environ = request.environ
    keys = loaded_keys(app, state, area, environ)
    delivery = Delivery(
        id=secrets.token_urlsafe(12),
        handoff=Handoff(file.relative, area=area.name),
        area=area,
        file=file,
        rate_limit=None,
        **said.values,
    )
    try:
        made = deliver(app, environ, delivery, server, keys)
    except ValueError as error:  # a value that no header carries through Apache
        raise Loss("header", f"{error}.") from error
    environ.setdefault(PRIVATE, []).append(True)
    body.opened.close()
    response.status_code = 200
    response.response = []
    response.direct_passthrough = False
    response.autocorrect_location_header = False
    response.headers = made.headers
    for name, value in said.kept:
        response.headers.add(name, value)


def _find(state: State, file: IO[bytes]) -> tuple[Area, PrivateFile]:
    """Return the area in which an open file lies, and the file as found there.

    :raises Loss: if its bytes are not those of a whole file in an area.
    """
    # Other kinds of files make other bytes of what is on the disk, as gzip's does.
    if type(file) is not io.BufferedReader or type(file.raw) is not io.FileIO:
        raise Loss("no-file", f"it is sent from an object of type {type(file).__name__}.")
    name = file.name
    if not isinstance(name, str | os.PathLike):
        raise Loss("no-file", "the open file has no path.")
    if file.tell() != 0:
        raise Loss("part", f"the open file is sent from byte {file.tell()} on.")
    real = os.path.realpath(os.fspath(name))
    if not isinstance(real, str):
        raise Loss("no-file", "the path of the open file is not text.")
    for area in state.settings.areas.values():
        if area.store is None and real.startswith(f"{area.root}/"):
            return area, _same(area, real, file)
    raise Loss("outside", f"{real!r} lies in no area.")


def _same(area: Area, real: str, file: IO[bytes]) -> PrivateFile:
    try:
        found = resolve(area.root, real[len(area.root) + 1 :])
    except FileRefused as refused:
        raise Loss("replaced", f"the open file is not at its path: {refused.reason}") from refused
    status = os.fstat(file.fileno())
    if (status.st_dev, status.st_ino) != found.identity:
        raise Loss("replaced", f"another file has taken the place of {real!r}.")
    if time.time() - status.st_ctime < FRESH:
        raise Loss("fresh", f"{real!r} has changed within {FRESH} seconds.")
    return found


def _check_class(response: Response) -> None:
    kind = type(response)
    for name in _SENDING:
        if getattr(kind, name) is not getattr(BaseResponse, name):
            reason = f"the response is a {kind.__name__}, which has its own way to send ({name})."
            raise Loss("response-class", reason)
    # Cleaning up would come before the file is sent.
    if getattr(response, "_on_close", None) != []:
        raise Loss("on-close", "something is to be called when the response is closed.")
    if not response.direct_passthrough:
        raise Loss("response-class", "the response does not pass the file through unchanged.")


def _check_answer(response: Response, body: _Partial, file: PrivateFile) -> None:
    """Check that the server, asked for the file, answers this request as the view did.

    Flask's validators are not the server's, which evaluates conditions and ranges anew.
    """
    environ, status = request.environ, response.status_code
    has_condition = any(name in environ for name in _CONDITIONS)
    # With conditional=True, Flask dates what it has evaluated. Without a size it sends no part.
    is_asked_for_part = "HTTP_RANGE" in environ
    is_evaluated = "Date" in response.headers
    if (has_condition or is_asked_for_part) and not is_evaluated:
        reason = "the request asks for a part or has conditions, which the view does not heed."
        raise Loss("conditional", reason)
    if is_asked_for_part and response.content_length is None:
        raise Loss("conditional", "the request asks for a part, and the view sends an open file.")
    if body.is_part:
        given, asked = response.content_range, request.range
        span = asked.range_for_length(file.size) if asked else None
        expected = (206, span, file.size)
        if (status, (given.start, given.stop), given.length) != expected:
            raise Loss("part", "the view sends another part of the file than the request asks for.")
        return
    if status not in ((200, 304, 412) if has_condition else (200,)):
        raise Loss("status", f"the status is {status}.")
    if response.content_length not in (None, file.size):
        raise Loss("part", "the view's Content-Length is not that of the file.")
