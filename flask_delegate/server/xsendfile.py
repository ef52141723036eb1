"""The Apache configuration for mod_xsendfile (Debian's 0.12)."""

from __future__ import annotations

from ..areas import Area
from ..servers.handshake import PROXY_HEADER, environ_key

MODULES = ("xsendfile", "env", "headers")


def area_rules(area: Area) -> str:
    """Write the rules for one area: which folder the application may name files of."""
    return f'XSendFile On\nXSendFilePath "{area.root}"\n'


def handshake_rules(area: Area, fingerprint: str) -> str:
    """Show the application that the rules are loaded: under mod_wsgi, and behind mod_proxy."""
    return (
        f'SetEnv {environ_key(fingerprint)} "{area.url}"\n'
        f"RequestHeader append {PROXY_HEADER} {fingerprint}\n"
    )
