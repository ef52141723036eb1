"""Caddy: a response that ``reverse_proxy`` does not pass on, but has its file server replace.

There is no internal URL: the rules apply to answers of the application alone, and a request has no
way to them. Sources: Caddy's documentation of ``reverse_proxy`` (``handle_response``),
``copy_response_headers``, ``file_server``, ``encode`` and ``log_append``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar
from wsgiref.types import WSGIEnvironment

from werkzeug.wrappers import Response

from ..areas import Area
from ..delivery import Delivery
from .base import COPY, Choices, Keeps, Keyed, Server, describing_response
from .codec import internal_url
from .handshake import PROXY_HEADER, Keys

_TOKEN, _ID = f"{COPY}Token", f"{COPY}Id"
_NOT_COPIED = (
    # What hands off, and what is about the application's own connection and empty body.
    *("X-Accel-Redirect", _TOKEN, _ID, "Connection", "Keep-Alive", "Proxy-Connection", "TE"),
    *("Trailer", "Transfer-Encoding", "Upgrade", "Date", "Server", "Content-Encoding"),
    *("Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified"),
)
_POLICY = "Content-Security-Policy"
_SET = ("Cache-Control", "Content-Disposition", "Content-Type", "X-Content-Type-Options")
"""What is set, and not added to what the site may have set for all its answers."""
_FOLDERS = "/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin"


class Caddy(Server):
    """See the module."""

    name = "caddy"
    keeps = Keeps(cookies=True, headers=True, rate_limit=False)
    header: ClassVar[str] = "X-Accel-Redirect"
    product = "Caddy"
    command: ClassVar[str] = "caddy-config"
    choices = ("receipts",)
    adds_header = "Write 'import FILE' between the braces of reverse_proxy."
    software = "Caddy"
    reads_as_root = False

    def respond(self, delivery: Delivery, keys: Keys, environ: WSGIEnvironment) -> Response:
        """Return the hand-off. The token is in a header of its own, and in no URL that is logged.

        :raises HandoffUnavailable: if the path does not fit in a header.
        """
        del environ
        response = describing_response(delivery)
        response.headers[self.header] = internal_url(delivery)
        response.headers[_TOKEN] = keys.token
        response.headers[_ID] = delivery.id
        return response

    def rules(self, area: Area, keys: Sequence[Keys], choices: Choices) -> str:
        """Return what ``reverse_proxy`` does with a hand-off of one area."""
        names = dict.fromkeys((*_SET, *area.headers))
        not_copied = " ".join(dict.fromkeys((*_NOT_COPIED, *names, _POLICY, "Vary")))
        served = [
            f"copy_response_headers {{\n    exclude {not_copied}\n}}",
            *(f"header {name} {{rp.header.{name}}}" for name in names),
            f"@policed vars_regexp {{rp.header.{_POLICY}}} .",
            f"header @policed {_POLICY} {{rp.header.{_POLICY}}}",
            "header -Expires",
            "# The file server adds Accept-Encoding, by which it does not vary here.",
            "header >Vary {rp.header.Vary}",
            "# encode leaves the file as it is.",
            "@coded {\n    header Accept-Encoding *\n    not header Accept-Encoding identity\n}",
            'header @coded >Cache-Control "{rp.header.Cache-Control}, no-transform"',
            *_logged(choices),
            "@posted not method GET HEAD",
            "method @posted GET",
            f"rewrite * {{rp.header.{self.header}}}",
            f"uri strip_prefix {area.url[:-1]}",
            "file_server {",
            f'    root "{area.root}"',
            "    fs default",
            '    index ""',
            "    disable_canonical_uris",
            "}",
        ]
        lines = [
            f"@delegate_{area.name} {{",
            "    # A hand-off of this application, and no other response.",
            "    status 200",
            f"    header {_TOKEN} {keys[0].token}",
            "}",
            f"handle_response @delegate_{area.name} {{",
            "    route {",
            *_indented(served, 8),
            "    }",
            "}",
        ]
        return "\n".join(lines) + "\n"

    def configuration(self, areas: Sequence[Keyed], choices: Choices) -> str:
        """Return what to import inside ``reverse_proxy``."""
        fingerprints = " ".join(keys[0].fingerprint for _, keys in areas)
        lines = [
            "# Import it between the braces of reverse_proxy.",
            *(f"# {line}" for line in _log_block(choices)),
            "",
            f'header_up {PROXY_HEADER} "{fingerprints}"',
            "# gunicorn believes a proxy's headers of these names, which a client could send.",
            "header_up -SCRIPT_NAME",
            "header_up -PATH_INFO",
        ]
        refused = [
            "# What else asks for a file is not shown to the client.",
            f"@delegate_refused header {self.header} *",
            "handle_response @delegate_refused {",
            '    respond "Internal Server Error" 500',
            "}",
        ]
        rules = (self.rules(area, keys, choices) for area, keys in areas)
        return "\n".join(["\n".join(lines), *rules, "\n".join(refused)]) + "\n"

    def admin_address(self) -> str:
        """Return what Caddy's own variable says, or its default."""
        return os.environ.get("CADDY_ADMIN", "localhost:2019")

    def is_installed(self) -> bool:
        """See :class:`.Server`."""
        path = f"{os.environ.get('PATH', '')}:{_FOLDERS}"
        return shutil.which("caddy", path=path) is not None


def log_block(path: str) -> tuple[str, ...]:
    """Return the lines that write receipts to a file; they stand beside ``reverse_proxy``."""
    return (
        "log flask_delegate {",
        "    no_hostname",
        f'    output file "{path}" {{',
        "        mode 0640",
        "        roll_disabled",
        "    }",
        "    format filter {",
        "        request>headers delete",
        "        request>uri delete",
        "    }",
        "}",
    )


def _log_block(choices: Choices) -> Iterator[str]:
    if choices.receipts:
        yield "Beside reverse_proxy, write:"
        yield from _indented(log_block(choices.receipts), 4)


def _logged(choices: Choices) -> Iterator[str]:
    if choices.receipts:
        yield f"log_append flask_delegate {{rp.header.{_ID}}}"
        yield "log_name flask_delegate"


def _indented(lines: Iterable[str], width: int) -> Iterator[str]:
    for text in lines:
        for line in text.splitlines():
            yield " " * width + line
