"""Apache's mod_xsendfile (Debian's 0.12): a response whose ``X-Sendfile`` names the file on disk.

Always 200 and without a body: the module answers ranges and conditions itself, from the validators
that are set here, and cuts the body short where the application answered a range before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar
from wsgiref.types import WSGIEnvironment

from werkzeug.wrappers import Response

from ..areas import Area
from ..delivery import Delivery
from ..exceptions import HandoffUnavailable
from . import apache
from .base import Choices, Keeps, Keyed, Server, describing_response
from .conditions import Validators
from .handshake import PROXY_HEADER, Keys, environ_key

# The module takes the path literally. Blanks at its ends would be cut off; controls end the header.
_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f]|\s$")


class XSendfile(Server):
    """See the module."""

    name = "xsendfile"
    keeps = Keeps(cookies=True, headers=True, rate_limit=False)
    header: ClassVar[str] = "X-Sendfile"
    product = apache.PRODUCT
    command: ClassVar[str] = apache.COMMAND
    choices = ("site",)
    software = "mod_xsendfile"
    modules = ("xsendfile", "env", "headers")
    runs_python = True

    def respond(self, delivery: Delivery, keys: Keys, environ: WSGIEnvironment) -> Response:
        """Return the hand-off.

        :raises HandoffUnavailable: for a name that no header can carry.
        """
        del keys, environ
        path = delivery.file.path
        if _UNSENDABLE.search(path):
            reason = f"X-Sendfile cannot carry the name {path!r}."
            cure = "Rename the file, or use another backend."
            raise HandoffUnavailable(delivery.area.name, reason, cure)
        response = describing_response(delivery)
        response.headers.update(Validators.of(delivery.file).headers())
        response.headers["Accept-Ranges"] = "bytes"
        # WSGI's headers are Latin-1 (PEP 3333); the bytes are those of the file system.
        response.headers[self.header] = path.encode("utf-8", "surrogateescape").decode("latin-1")
        return response

    def rules(self, area: Area, keys: Sequence[Keys], choices: Choices) -> str:
        """Return which folder the application may name files of."""
        del keys, choices
        return f'XSendFile On\nXSendFilePath "{area.root}"\n'

    def configuration(self, areas: Sequence[Keyed], choices: Choices) -> str:
        """See :class:`.Server`."""
        parts = [apache.module_rules(self.modules, load=not choices.site)]
        for area, keys in areas:
            # Under mod_wsgi the environ shows the fingerprint, behind mod_proxy a header does.
            parts.append(
                f'SetEnv {environ_key(keys[0].fingerprint)} "{area.url}"\n'
                f"RequestHeader append {PROXY_HEADER} {keys[0].fingerprint}\n"
            )
            parts.append(self.rules(area, keys, choices))
        return "\n".join(parts)

    def is_installed(self) -> bool:
        """See :class:`.Server`."""
        return apache.has_module("xsendfile")
