"""What the application and the web server's configuration know of one another.

Each area has a *token*, which a hand-off must carry for Apache to serve it, and a *fingerprint*,
which the generated configuration sets in the WSGI environ so that the application can see that the
rules which belong to its own settings are loaded. Both are derived from the application's secret.
The token is secret; the fingerprint is not.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..areas import Area
from ..exceptions import HandoffUnavailable

PROXY_HEADER = "X-Flask-Delegate"
"""The request header in which a proxy shows fingerprints, separated by blanks or commas."""

_ENVIRON_PREFIX = "flask_delegate."
_PROCESS_GROUP = "mod_wsgi.process_group"
_PROXY_VARIABLE = "HTTP_X_FLASK_DELEGATE"
_REGENERATE = (
    "Write the Apache configuration with 'flask delegate apache-config --output FILE', load it"
    " with 'mod_wsgi-express start-server --include-file FILE' or an Include directive, and"
    " restart Apache."
)


@dataclass(frozen=True, slots=True)
class Mark:
    """What an area shares with the web server's configuration.

    :param token: what a hand-off must carry for the server to serve it; secret.
    :param fingerprint: what shows that the right rules are loaded.
    :param signing_key: what signed URLs are signed with; secret.
    """

    token: str = field(repr=False)
    fingerprint: str
    signing_key: str = field(default="", repr=False)


def derive_token(secret: bytes, area: Area) -> str:
    """Derive an area's token: 128 bits in hexadecimal."""
    return _derive(secret, "token", area.url, area.root)


def derive_signing_key(secret: bytes, area: Area) -> str:
    """Derive the key of an area's signed URLs: 128 bits in hexadecimal; none without such URLs."""
    if not area.signed_url:
        return ""
    return _derive(secret, "signed-url", area.signed_url, area.root)


def derive_fingerprint(secret: bytes, area: Area, rules: str) -> str:
    """Derive the fingerprint of an area's rules: whatever changes them changes it."""
    return _derive(secret, "fingerprint", area.url, area.root, rules)


def _derive(secret: bytes, purpose: str, *parts: str) -> str:
    message = "\0".join(["flask-delegate", purpose, *parts])
    return hmac.new(secret, message.encode("utf-8", "surrogateescape"), "sha256").hexdigest()[:32]


def environ_key(fingerprint: str) -> str:
    """Name the environ variable that shows a fingerprint.

    Its value is the area's URL and, behind a blank, the process group that may hand off, if only
    one may.

    The fingerprint is in the name, so that two applications on one server do not hide one another.
    """
    return f"{_ENVIRON_PREFIX}{fingerprint}"


def in_daemon_mode(environ: Mapping[str, object]) -> bool:
    """Tell whether mod_wsgi serves this request in daemon mode, where it follows a ``Location``.

    The variable is absent under other servers and empty in embedded mode; no request header can
    set it.
    """
    return bool(environ.get(_PROCESS_GROUP))


def check_daemon_mode(environ: Mapping[str, object], area: Area, mark: Mark) -> None:
    """Make sure that mod_wsgi follows a ``Location``, and that the area's guard is loaded.

    :raises HandoffUnavailable: saying what was seen and what to do.
    """
    shown = str(environ.get(environ_key(mark.fingerprint), ""))
    url, _, group = shown.partition(" ")
    if url == area.url and in_daemon_mode(environ):
        _check_alone(environ, area, mark)
        _check_group(environ, area, group)
        return
    if _PROCESS_GROUP not in environ:
        reason, cure = "this server is not Apache with mod_wsgi.", "Nothing to do in development."
    elif not in_daemon_mode(environ):
        reason = "mod_wsgi runs in embedded mode, where it does not follow a Location."
        cure = "Use daemon mode (WSGIDaemonProcess and WSGIProcessGroup; mod_wsgi-express does)."
    elif _others(environ, area, mark):
        reason = f"the configuration loaded for {area.url} was made for other settings."
        cure = _REGENERATE
    else:
        reason = f"Apache did not load the configuration that guards {area.url}."
        cure = _REGENERATE
    raise HandoffUnavailable(area.name, reason, cure)


def check_proxy(environ: Mapping[str, object], area: Area, mark: Mark, *, command: str) -> None:
    """Make sure that the request came through the server that was configured for the area.

    A client could send the header, but does not know the fingerprint.

    :param command: the command that writes the server's configuration.
    :raises HandoffUnavailable: saying what was seen and what to do.
    """
    if environ.get(environ_key(mark.fingerprint)) == area.url:
        return
    shown = str(environ.get(_PROXY_VARIABLE, "")).replace(",", " ").split()
    if mark.fingerprint in shown:
        return
    if shown or _others(environ, area, mark):
        reason = f"the configuration loaded for {area.url} was made for other settings."
    else:
        reason = "the request did not come through the configured server, or it did not say so."
    cure = (
        f"Write its configuration with 'flask delegate {command} --output FILE', include that,"
        " and reload the server."
    )
    raise HandoffUnavailable(area.name, reason, cure)


def _check_alone(environ: Mapping[str, object], area: Area, mark: Mark) -> None:
    """Two guards on one URL would each refuse what the other one's token opens."""
    if _others(environ, area, mark):
        raise HandoffUnavailable(
            area.name,
            f"two configurations on this server claim {area.url}.",
            "Remove the old one, or give the other application another DELEGATE_URL.",
        )


def _check_group(environ: Mapping[str, object], area: Area, group: str) -> None:
    if group and group != environ.get(_PROCESS_GROUP):
        raise HandoffUnavailable(
            area.name,
            f"only the process group {group!r} may hand off,"
            f" and this one is {environ.get(_PROCESS_GROUP)!r}.",
            "Write the configuration with the right --process-group, or without.",
        )


def _others(environ: Mapping[str, object], area: Area, mark: Mark) -> bool:
    """Tell whether a configuration that was made for other settings claims the area's URL."""
    ours = environ_key(mark.fingerprint)
    # Each download comes by here, and nearly always there is no other: one look at all the keys.
    if "\0".join(environ).count(_ENVIRON_PREFIX) == int(ours in environ):
        return False
    return any(
        key.startswith(_ENVIRON_PREFIX) and key != ours and str(value).split(" ")[0] == area.url
        for key, value in environ.items()
    )
