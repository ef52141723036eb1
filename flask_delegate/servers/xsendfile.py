"""Apache's mod_xsendfile (Debian's 0.12): a response whose ``X-Sendfile`` names the file on disk.

Always 200 and without a body: the module answers ranges and conditions itself, from the validators
that are set here, and cuts the body short where the application answered a range before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import indent
from typing import ClassVar, cast
from wsgiref.types import WSGIEnvironment

from werkzeug.wrappers import Response

from ..areas import Area
from ..delivery import Delivery
from ..exceptions import HandoffUnavailable
from ..resolve import PrivateFile
from . import apache
from .base import COPY, Choices, Keeps, Keyed, Server, describing_response
from .conditions import Validators
from .handshake import PROXY_HEADER, Keys, environ_key

# The module takes the path literally. Blanks at its ends would be cut off; controls end the header.
_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f]|\s$")
# Other rules may change what the application says of a file, as sections for the file's folder do
# not apply to it. Rules that are merged last put it right, from a copy.
_HEADERS = (
    *("Cache-Control", "Content-Disposition", "Content-Security-Policy", "Content-Type"),
    *("Repr-Digest", "X-Content-Type-Options"),
)

# gunicorn believes a proxy's headers of these names, which a client could send through it.
_NO_PLACE = "RequestHeader unset SCRIPT_NAME\nRequestHeader unset PATH_INFO\n"
# mod_proxy drops what Connection names, after the header was added that the application looks for.
_NOT_DROPPED = f'RequestHeader edit* Connection "(?i){PROXY_HEADER}" x\n'


class XSendfile(Server):
    """See the module."""

    name = "xsendfile"
    keeps = Keeps(cookies=True, headers=True, rate_limit=False)
    header: ClassVar[str] = "X-Sendfile"
    longest_path = apache.LONGEST_PATH
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
        # The settings refuse this backend for an area in a store.
        file = cast("PrivateFile", delivery.file)
        path = file.path
        if _UNSENDABLE.search(path):
            reason = f"X-Sendfile cannot carry the name {path!r}."
            cure = "Rename the file, or use another backend."
            raise HandoffUnavailable(delivery.area.name, reason, cure, "name")
        response = describing_response(delivery)
        response.headers.update(Validators.of(file, delivery.handoff.sha256).headers())
        response.headers["Accept-Ranges"] = "bytes"
        response.headers.extend((COPY + name, value) for name, value in delivery.headers().items())
        # WSGI's headers are Latin-1 (PEP 3333); the bytes are those of the file system.
        response.headers[self.header] = path.encode("utf-8", "surrogateescape").decode("latin-1")
        return response

    def rules(self, area: Area, keys: Sequence[Keys], choices: Choices) -> str:
        """Return which folder the application may name files of, and what keeps their headers."""
        del keys, choices
        names = (*_HEADERS, *area.headers)
        lines = [line for name in names for line in _restored(name, f"resp('{COPY}{name}')")]
        lines += (f"Header unset {COPY}{name}" for name in names)
        restored = indent("\n".join(lines), " " * 4)
        return f'XSendFile On\nXSendFilePath "{area.root}"\n<If "true">\n{restored}\n</If>\n'

    def configuration(self, areas: Sequence[Keyed], choices: Choices) -> str:
        """See :class:`.Server`."""
        parts = [
            apache.module_rules(self.modules, load=not choices.site),
            apache.METHOD_RULE,
            _NO_PLACE,
            _NOT_DROPPED,
        ]
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


def _restored(name: str, copy: str) -> Iterator[str]:
    yield f'Header always unset {name} "expr=-n {copy}"'
    yield f'Header set {name} "expr=%{{resp:{COPY}{name}}}" "expr=-n {copy}"'
    if name == "Cache-Control":
        yield f'Header unset Expires "expr=-n {copy}"'
        yield f'Header merge Vary Cookie "expr=-n {copy}"'
