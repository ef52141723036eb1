"""What the application and the web server's configuration know of one another.

Each area has a *token*, which a hand-off must carry for the server to serve it, and a
*fingerprint*, which the generated configuration shows so that the application can see that the
rules for its own settings are loaded. Both are derived from the application's secret. The token is
secret; the fingerprint is not.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..areas import Area

PROXY_HEADER = "X-Flask-Delegate"
"""The request header in which a proxy shows fingerprints, separated by blanks or commas."""
PROCESS_GROUP = "mod_wsgi.process_group"
"""The environ variable of mod_wsgi: empty in embedded mode; no request header can set it."""
SCGI = "SCGI"
"""The environ variable of a request that came by SCGI: ``1``; no request header can set it."""

_ENVIRON_PREFIX = "flask_delegate."


@dataclass(frozen=True, slots=True)
class Keys:
    """What an area shares with the web server's configuration.

    :param token: what a hand-off must carry for the server to serve it; secret.
    :param fingerprint: what shows that the right rules are loaded.
    :param signing_key: what signed URLs are signed with; secret.
    """

    token: str = field(default="", repr=False)
    fingerprint: str = ""
    signing_key: str = field(default="", repr=False)


def derive(secret: bytes, purpose: str, *parts: str) -> str:
    """Derive a key from the application's secret: 128 bits in hexadecimal."""
    message = "\0".join(["flask-delegate", purpose, *parts])
    return hmac.new(secret, message.encode("utf-8", "surrogateescape"), "sha256").hexdigest()[:32]


def environ_key(fingerprint: str) -> str:
    """Return the environ variable that shows a fingerprint; applications do not share one.

    Its value is the area's URL and, after a blank, the process group that may hand off, if only
    one may.
    """
    return f"{_ENVIRON_PREFIX}{fingerprint}"


def is_claimed_by_others(environ: Mapping[str, object], area: Area, keys: Keys) -> bool:
    """Return whether a configuration that was made for other settings claims the area's URL."""
    ours = environ_key(keys.fingerprint)
    # Each download passes here, and hardly ever is there another: look at all the keys at once.
    if "\0".join(environ).count(_ENVIRON_PREFIX) == int(ours in environ):
        return False
    return any(
        key.startswith(_ENVIRON_PREFIX) and key != ours and str(value).split(" ")[0] == area.url
        for key, value in environ.items()
    )
