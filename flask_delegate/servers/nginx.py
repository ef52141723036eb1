"""nginx: a response whose ``X-Accel-Redirect`` names an internal location.

Sources: nginx's documentation of ``internal``, ``alias``, ``add_header``, ``disable_symlinks``,
``proxy_ignore_headers`` and of the variable ``$upstream_http_name``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar
from wsgiref.types import WSGIEnvironment

from werkzeug.wrappers import Response

from ..areas import Area
from ..delivery import Delivery
from ..stores.objects import StoredObject
from ..stores.store import Store
from .base import COPY, Choices, Keeps, Keyed, Server, describing_response
from .codec import RESPONSE_HEAD, internal_url
from .handshake import PROXY_HEADER, Keys
from .stored import nginx as stored

_VARIABLE = PROXY_HEADER.upper().replace("-", "_")
_SIZE = f"{RESPONSE_HEAD // 1024}k"
# nginx has read a body in chunks and gives its length; Werkzeug would heed the client's header, and
# find no body. HTTP drops that header on the way, and our SCGI server does.
_UNCHUNKED = {name: (f'{name}_param HTTP_TRANSFER_ENCODING "";',) for name in ("uwsgi", "fastcgi")}
PASSING_ON = {
    protocol: (
        f"{shown} $flask_delegate;",
        f"{protocol}_buffer_size {_SIZE};",
        f"{protocol}_buffers 8 {_SIZE};",
        *_UNCHUNKED.get(protocol, ()),
    )
    for protocol, shown in {
        "proxy": f"proxy_set_header {PROXY_HEADER}",
        "uwsgi": f"uwsgi_param HTTP_{_VARIABLE}",
        "fastcgi": f"fastcgi_param HTTP_{_VARIABLE}",
        "scgi": f"scgi_param HTTP_{_VARIABLE}",
    }.items()
}
"""The lines for where nginx passes requests on to the application, by what is before ``_pass``.

The site writes them: it may have others of the same name, and nginx refuses two in one block.
"""
BUFFERS = (
    f"{' '.join(PASSING_ON['proxy'][1:])} Beside another directive than proxy_pass, they begin"
    " with uwsgi_, fastcgi_ or scgi_."
)
"""The cure where nginx could not read an answer."""

_POLICY = f"{COPY}Content-Security-Policy"
_DIGEST = f"{COPY}Repr-Digest"


class Nginx(Server):
    """See the module."""

    name = "nginx"
    keeps = Keeps(cookies=True, headers=False, rate_limit=True)
    header: ClassVar[str] = "X-Accel-Redirect"
    product = "nginx"
    command: ClassVar[str] = "nginx-config"
    choices = ("sendfile", "receipts", "resolver")
    adds_header = (
        f"Write '{PASSING_ON['proxy'][0]}' beside proxy_pass, into the same"
        " location if that has a proxy_set_header of its own, because it inherits none then."
        f" Beside uwsgi_pass write '{PASSING_ON['uwsgi'][0]}', and likewise fastcgi_param or"
        " scgi_param."
    )
    software = "nginx"
    verifies = True
    sendfile_lines: ClassVar[tuple[str, str]] = ("sendfile on;", "sendfile off;")

    def why_unable(self, store: Store | None) -> str:
        """See :class:`.Server`."""
        del store
        return ""

    def respond(self, delivery: Delivery, keys: Keys, environ: WSGIEnvironment) -> Response:
        """Return the hand-off; nginx keeps name, type and cache policy, and asks for the policy.

        :raises HandoffUnavailable: if the path does not fit in a header.
        """
        response, file = describing_response(delivery), delivery.file
        handoff = f"k={keys.token}&id={delivery.id}"
        if isinstance(file, StoredObject):
            response.headers[self.header] = f"{delivery.area.url}?{handoff}"
            stored.hand_off(response, file, environ)
        else:
            response.headers[self.header] = internal_url(delivery, handoff)
        if delivery.csp:
            response.headers[_POLICY] = delivery.csp
        if delivery.digest:
            response.headers[_DIGEST] = delivery.digest
        if delivery.rate_limit:
            # No less than what Apache can do: the headers are limited, too.
            response.headers["X-Accel-Limit-Rate"] = str(max(1024, delivery.rate_limit))
        return response

    def rules(self, area: Area, keys: Sequence[Keys], choices: Choices) -> str:
        """Return the ``location`` block for one area."""
        if area.store is not None:
            return stored.rules(area, area.store, keys[0], choices, list(_constant(area.headers)))
        lines = [
            f"location ^~ {area.url} {{",
            "    # For X-Accel-Redirect only, and only for that of this application.",
            "    internal;",
            f'    if ($arg_k != "{keys[0].token}") {{',
            "        return 403;",
            "    }",
            *([f"    {stored.NOTED}"] if choices.receipts else []),
            "    # From here on no variable that a file could print holds the token.",
            '    set $args "id=$arg_id";',
            f'    alias "{area.root}/";',
            *(f"    {line}" for line in _as_bytes(area, choices)),
            "    # nginx keeps the application's name, type and cache policy, and drops the rest.",
            f"    add_header Content-Security-Policy ${stored.variable(_POLICY)};",
            f"    add_header Repr-Digest ${stored.variable(_DIGEST)};",
            *(f"    {line}" for line in _told(area, choices)),
            *_logged(choices),
            "}",
        ]
        rules = "\n".join(lines) + "\n"
        if area.signed_url:
            from .signed import nginx as signed  # most applications do without

            rest = [*_as_bytes(area, choices), *_told(area, choices)]
            signing_keys = (one.signing_key for one in keys)
            rules += signed.location(area, signing_keys, choices.script, rest)
        return rules

    def script(self, areas: Sequence[Keyed]) -> str:
        """See :class:`.Server`."""
        if not any(area.signed_url for area, _ in areas):
            return ""
        from .signed.nginx import script

        return script()

    def fault(self, text: str, area: Area, keys: Keys) -> str:
        """Return what is wrong with a configuration file, or with the script that it names."""
        if (problem := super().fault(text, area, keys)) or not area.signed_url:
            return problem
        from .signed.nginx import fault

        return fault(text)

    def mac(self, key: str, message: bytes) -> str:
        """See :class:`.Server`."""
        from .signed.nginx import mac

        return mac(key, message)

    def configuration(self, areas: Sequence[Keyed], choices: Choices) -> str:
        """Return what to include in a ``server`` block."""
        # Only the command gets here; requests need not load what asks nginx.
        from .nginx_resets import NOTHING, check_script, has_headers_more, resets

        # The variable that the proxied request has to show.
        fingerprints = " ".join(keys[0].fingerprint for _, keys in areas)
        shown = f'set $flask_delegate "{fingerprints}";\n'
        shown += f'set {NOTHING} "";\nset $flask_delegate_logged "";\n'
        program = self._program()
        undone = resets(program)
        if program and (script := self.script(areas)):
            from .signed.nginx import script_lines

            check_script(program, script, script_lines)
        parts = [_needed(choices), shown]
        for area, keys in areas:
            # headers-more acts before add_header: what it set would arrive beside the area's own.
            cleared = [f"more_clear_headers {name};" for name in area.headers]
            lines = undone + cleared if has_headers_more(undone) else undone
            parts.append(self.rules(area, keys, replace(choices, resets=lines)))
        return "\n".join(parts)

    def is_installed(self) -> bool:
        """See :class:`.Server`."""
        return self._program() is not None

    def _program(self) -> str | None:
        return shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")


def _needed(choices: Choices) -> str:
    """Return a comment that says what the site has to write."""
    text = ""
    if choices.receipts:
        from ..receipts import NGINX_FORMAT

        text = f"# In the http block, write\n#     log_format flask_delegate '{NGINX_FORMAT}';\n"
    text += "# Where requests are passed on to the application, write\n"
    for protocol, lines in PASSING_ON.items():
        text += f"# beside {protocol}_pass:\n" + "".join(f"#     {line}\n" for line in lines)
    return text


def _as_bytes(area: Area, choices: Choices) -> Iterator[str]:
    """Yield the lines by which a file leaves as it is."""
    # nginx reads quotes where a parameter begins, and nowhere else.
    yield f'disable_symlinks on "from={area.root}/";'
    yield "autoindex off;"
    yield "gzip off;"
    yield "types { }"
    yield "default_type application/octet-stream;"
    yield f"sendfile {'on' if choices.sendfile else 'off'};"
    yield "etag on;"


def _told(area: Area, choices: Choices) -> Iterator[str]:
    """Yield the lines for what each file carries, and those that undo other configuration."""
    yield "add_header X-Content-Type-Options nosniff;"
    yield "add_header Vary Cookie;"
    yield from _constant(area.headers)
    yield from choices.resets


def _logged(choices: Choices) -> Iterator[str]:
    if choices.receipts:
        yield f'    access_log "{choices.receipts}" {stored.LOGGED};'


def _constant(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if name.lower() != "x-content-type-options":
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            yield f'add_header {name} "{escaped}";'
