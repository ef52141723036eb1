"""lighttpd as a proxy: a response whose ``X-Sendfile`` names the file on disk, below a docroot.

lighttpd answers ranges and conditions, from the validators that are set here. It knows no token:
whatever it passes requests on to may name any file of the areas. Sources: lighttpd's documentation
of ``x-sendfile-docroot`` (mod_proxy), ``server.follow-symlink``, ``server.stat-cache-engine`` and
of mod_setenv, mod_deflate and mod_accesslog.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from typing import ClassVar, cast
from wsgiref.types import WSGIEnvironment

from werkzeug.wrappers import Response

from ..areas import Area
from ..delivery import Delivery
from ..exceptions import HandoffUnavailable
from ..receipts import LIGHTTPD_FORMAT
from ..resolve import PrivateFile
from .base import COPY, Choices, Keeps, Keyed, Server, describing_response
from .codec import check_length, quoted
from .conditions import Validators
from .handshake import PROXY_HEADER, Keys

UPSTREAM = "var.flask_delegate"
"""The variable in which the operator says where the application is."""

_ID = f"{COPY}Id"
# lighttpd takes each control character for "_", and would send another file. What is not UTF-8
# stands here as surrogates.
_UNSENDABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


_RULES = (
    'server.follow-symlink = "disable"',
    'server.force-lowercase-filenames = "disable"',
    "# Files leave as they are. Where mod_deflate is not loaded, lighttpd says so.",
    "deflate.mimetypes = ( )",
)


class Lighttpd(Server):
    """See the module."""

    name = "lighttpd"
    keeps = Keeps(cookies=True, headers=True, rate_limit=False)
    header: ClassVar[str] = "X-Sendfile"
    product = "lighttpd"
    command: ClassVar[str] = "lighttpd-config"
    choices = ("receipts",)
    adds_header = "Load mod_setenv."
    software = "lighttpd"

    def respond(self, delivery: Delivery, keys: Keys, environ: WSGIEnvironment) -> Response:
        """Return the hand-off.

        :raises HandoffUnavailable: for a name that lighttpd refuses, or a path that does not fit.
        """
        del keys, environ
        # The settings refuse this backend for an area in a store.
        file = cast("PrivateFile", delivery.file)
        path = file.path
        if _UNSENDABLE.search(path):
            reason = f"lighttpd cannot send {path!r}: it reads UTF-8, without control characters."
            cure = "Rename the file, or use another backend."
            raise HandoffUnavailable(delivery.area.name, reason, cure, "name")
        name = quoted(path.encode())
        check_length(delivery, name)
        response = describing_response(delivery)
        # lighttpd takes them over, or else an ETag that a hook made of the empty response.
        response.headers.update(Validators.of(file, delivery.handoff.sha256).headers())
        response.headers[self.header] = name
        response.headers[_ID] = delivery.id
        return response

    def rules(self, area: Area, keys: Sequence[Keys], choices: Choices) -> str:
        """Return what holds for all areas, and the folder that files may be named of."""
        del keys, choices
        return "\n".join([*_RULES, _folder(area)])

    def configuration(self, areas: Sequence[Keyed], choices: Choices) -> str:
        """Return what to include at the top of lighttpd's configuration."""
        shown = " ".join(keys[0].fingerprint for _, keys in areas)
        folders = ", ".join(_folder(area) for area, _ in areas)
        lines = [
            f'# Before it, write: {UPSTREAM} = ( "host" => "127.0.0.1", "port" => 8000 )',
            "# Without this lighttpd sends for a second what a file was before.",
            'server.stat-cache-engine = "disable"',
            # What a condition says wins over what is said for all requests.
            '$HTTP["url"] =~ "" {',
            "    # The empty ones: gunicorn believes a proxy's headers of these names.",
            "    setenv.set-request-header = (",
            f'        "{PROXY_HEADER}" => "{shown}", "SCRIPT_NAME" => "", "PATH_INFO" => ""',
            "    )",
            *_logged(choices),
            *(f"    {line}" for line in _RULES),
            f'    proxy.server = ( "" => ( {UPSTREAM} + (',
            f'        "x-sendfile" => "enable", "x-sendfile-docroot" => ( {folders} )',
            "    ) ) )",
            "}",
        ]
        return "\n".join(lines) + "\n"

    def is_installed(self) -> bool:
        """See :class:`.Server`."""
        path = "/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin"
        return shutil.which("lighttpd", path=path) is not None


def _folder(area: Area) -> str:
    return f'"{area.root}/"'


def _logged(choices: Choices) -> Iterator[str]:
    if choices.receipts:
        escaped = LIGHTTPD_FORMAT.replace('"', '\\"')
        yield f'    accesslog.filename = "{choices.receipts}"'
        yield f'    accesslog.format = "{escaped}"'
    else:
        yield f'    setenv.set-response-header = ( "{_ID}" => "" )'
