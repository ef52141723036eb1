"""mod_proxy_scgi: stock Apache in front of an application that runs as its own server.

The application answers a hand-off as under mod_wsgi: see :mod:`.apache_redirect`. Its other headers
and its cookies arrive, too, as Apache adds what a script says to what it serves in the script's
place. Source: ``ProxySCGIInternalRedirect`` in Apache 2.4's manual.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import apache
from .apache_redirect import ApacheRedirect, Obstacle
from .base import Choices, Keeps
from .handshake import SCGI

# What mod_proxy passes the request on to is its SCRIPT_FILENAME. No other redirect inside of Apache
# has one like it, and no header of a client becomes a variable of this name.
_ORIGIN = (
    "reqenv('REDIRECT_SCRIPT_FILENAME') =~ m#^proxy:scgi:# && reqenv('REDIRECT_STATUS') == '200'"
)
_PREAMBLE = """\
# What answers a HEAD has no body that could differ from its length.
SetEnvIf Request_Method "^HEAD$" ap_trust_cgilike_cl=yes
# The client would get the internal URL, if the site had this off.
<If "true">
    ProxySCGIInternalRedirect On
</If>
"""


class Scgi(ApacheRedirect):
    """See the module."""

    name = "scgi"
    keeps = Keeps(cookies=True, headers=True, rate_limit=True)
    # Apache reads a script's header in lines of 8 KiB (MAX_STRING_LEN): "Location: " is in it, too.
    longest_header = 8179
    # Of which each byte may need three, beside a name and a policy.
    longest_path = 1840
    choices = ("sendfile", "receipts", "store_connections")
    software = "mod_proxy_scgi"
    modules = (
        *("alias", "authz_core", "env", "headers", "proxy", "proxy_scgi", "ratelimit"),
        "setenvif",
    )
    _by = "an application that this server passes requests on to"
    _arriving = ("Accept-Ranges", "Content-Encoding")

    def is_installed(self) -> bool:
        """See :class:`.Server`."""
        return apache.has_module("proxy_scgi")

    def _stranger(self, environ: Mapping[str, object]) -> Obstacle | None:
        if environ.get(SCGI) == "1":
            return None
        cure = (
            "Serve the application with 'python -m flask_delegate.scgi MODULE:NAME', and let Apache"
            " pass requests on with 'ProxyPass / scgi://…'."
        )
        return "the request did not come by SCGI.", cure, "other-server"

    def _regenerate(self) -> str:
        return (
            "Write the Apache configuration with 'flask delegate apache-config --output FILE', load"
            " it with an Include directive in the application's virtual host, and restart Apache."
        )

    def _origin(self, choices: Choices) -> str:
        del choices
        return _ORIGIN

    def _is_site(self, choices: Choices) -> bool:
        del choices
        return True

    def _preamble(self) -> str:
        return _PREAMBLE
