"""What the application and the web server's configuration know of one another.

Each area has a *token*, which a hand-off must carry for Apache to serve it, and a *fingerprint*,
which the generated configuration sets in the WSGI environ so that the application can see that the
rules which belong to its own settings are loaded. Both are derived from the application's secret.
The token is secret; the fingerprint is not.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from .areas import Area
from .exceptions import HandoffUnavailable

_ENVIRON_PREFIX = "flask_delegate."
_PROCESS_GROUP = "mod_wsgi.process_group"
_REGENERATE = (
    "Write the Apache configuration with 'flask delegate apache-config --output FILE', load it"
    " with 'mod_wsgi-express start-server --include-file FILE' or an Include directive, and"
    " restart Apache."
)


def derive_token(secret: bytes, area: Area) -> str:
    """Derive an area's token: 128 bits in hexadecimal."""
    return _derive(secret, "token", area.url, area.root)


def derive_fingerprint(secret: bytes, area: Area, rules: str) -> str:
    """Derive the fingerprint of an area's rules: whatever changes them changes it."""
    return _derive(secret, "fingerprint", area.url, area.root, rules)


def _derive(secret: bytes, purpose: str, *parts: str) -> str:
    message = "\0".join(["flask-delegate", purpose, *parts])
    return hmac.new(secret, message.encode("utf-8", "surrogateescape"), "sha256").hexdigest()[:32]


def environ_key(fingerprint: str) -> str:
    """Name the environ variable that shows a fingerprint; its value is the area's URL.

    The fingerprint is in the name, so that two applications on one server do not hide one another.
    """
    return f"{_ENVIRON_PREFIX}{fingerprint}"


def in_daemon_mode(environ: Mapping[str, object]) -> bool:
    """Tell whether mod_wsgi serves this request in daemon mode, where it follows a ``Location``.

    The variable is absent under other servers and empty in embedded mode; no request header can
    set it.
    """
    return bool(environ.get(_PROCESS_GROUP))


def check(environ: Mapping[str, object], area: Area, fingerprint: str) -> None:
    """Make sure that this request can be handed off.

    :raises HandoffUnavailable: saying what was seen and what to do.
    """
    if environ.get(environ_key(fingerprint)) == area.url and in_daemon_mode(environ):
        return
    if _PROCESS_GROUP not in environ:
        reason, cure = "this server is not Apache with mod_wsgi.", "Nothing to do in development."
    elif not in_daemon_mode(environ):
        reason = "mod_wsgi runs in embedded mode, where it does not follow a Location."
        cure = "Use daemon mode (WSGIDaemonProcess and WSGIProcessGroup; mod_wsgi-express does)."
    elif _shows_another_fingerprint(environ, area):
        reason = f"the configuration loaded for {area.url} was made for other settings."
        cure = _REGENERATE
    else:
        reason = f"Apache did not load the configuration that guards {area.url}."
        cure = _REGENERATE
    raise HandoffUnavailable(area.name, reason, cure)


def _shows_another_fingerprint(environ: Mapping[str, object], area: Area) -> bool:
    return any(
        key.startswith(_ENVIRON_PREFIX) and value == area.url for key, value in environ.items()
    )
