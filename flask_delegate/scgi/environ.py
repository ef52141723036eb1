"""WSGI's environ from what a web server says of a request (PEP 3333)."""

from __future__ import annotations

import re
import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from .frame import BadFrameError

_PROXIED = "proxy:"
"""What Apache's ``SCRIPT_FILENAME`` begins with where mod_proxy passes a request on."""
_SLASH = re.compile("%(2F)", re.IGNORECASE)
_DIGITS = re.compile("[0-9]{1,18}")
_NEEDED = ("REQUEST_METHOD", "SERVER_PORT", "SERVER_PROTOCOL")


def environ_of(found: dict[str, str], body: object, *, multiprocess: bool) -> dict[str, Any]:
    """Return the environ of a request.

    Where the path in front of the application and the rest begin, is told by Apache's
    ``ProxyPass``, or by ``SCRIPT_NAME`` and ``PATH_INFO`` or ``DOCUMENT_URI``.

    :param found: the names and values of its frame.
    :param body: its input.
    :raises BadFrameError: if the server does not say what WSGI needs.
    """
    environ: dict[str, Any] = found
    for name in _NEEDED:
        if not found.get(name):
            raise BadFrameError(f"it has no {name}; nginx needs 'include scgi_params;'")
    _check_length(found)
    script, path = _places(found)
    scheme = found.get("REQUEST_SCHEME") or ("https" if found.get("HTTPS") == "on" else "http")
    environ.setdefault("QUERY_STRING", "")
    # The body has a length here, though the client's had none: nginx has read all of it.
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    # nginx may have no server_name, and WSGI has to have one.
    environ["SERVER_NAME"] = found.get("SERVER_NAME") or "localhost"
    environ.update(
        {
            "SCRIPT_NAME": script,
            "PATH_INFO": path,
            # Middleware may change these two; these are as the server said.
            "scgi.script_name": script,
            "scgi.path_info": path,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": scheme,
            "wsgi.input": body,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
        }
    )
    return environ


def _check_length(found: dict[str, str]) -> None:
    """Refuse what has another length than the client said: nginx would cut its body short."""
    length, said = found["CONTENT_LENGTH"], found.get("HTTP_CONTENT_LENGTH") or None
    if said is not None and not (_DIGITS.fullmatch(said) and int(said) == int(length)):
        raise BadFrameError(
            f"its CONTENT_LENGTH is {length}, and the client said {said[:100]!r}; nginx needs"
            " 'scgi_request_buffering on;'"
        )


def _unquoted(path: str) -> str:
    return unquote_to_bytes(path).decode("latin-1")


def _places(found: dict[str, str]) -> tuple[str, str]:
    """Return ``SCRIPT_NAME`` and ``PATH_INFO``."""
    script, proxied = found.get("SCRIPT_NAME", ""), found.get("SCRIPT_FILENAME", "")
    if proxied.startswith(_PROXIED):
        # SCRIPT_NAME is the whole path. The end of it that ProxyPass leaves is the application's.
        rest = f"/{proxied.partition('//')[2].partition('/')[2]}"
        # With AllowEncodedSlashes NoDecode, SCRIPT_NAME has them still encoded.
        for spelled in (rest, _SLASH.sub(r"%25\1", rest)):
            if script.endswith(end := _unquoted(spelled)):
                return script.removesuffix(end), _unquoted(rest)
        # A rule such as RewriteRule with [P] has made it something else.
        return "", _unquoted(rest)
    if "PATH_INFO" in found:
        return script, found["PATH_INFO"]
    whole = found.get("DOCUMENT_URI")
    if whole is None:
        raise BadFrameError("it has neither PATH_INFO nor DOCUMENT_URI")
    script = script.rstrip("/")
    if script and not f"{whole}/".startswith(f"{script}/"):
        raise BadFrameError(f"its path {whole[:200]!r} is not below SCRIPT_NAME, {script[:200]!r}")
    return script, whole.removeprefix(script)
